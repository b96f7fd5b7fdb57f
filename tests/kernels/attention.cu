// SPDX-License-Identifier: Apache-2.0
// attention.cu: softmax(q kT / sqrt(d)) v with causal mask, a row of q per thread, keys and values
// by tiles in shared memory, the softmax kept up to date as keys come (online).

#define D 32
#define KEYS 32

extern "C" __global__ void attention(const float *q, const float *k, const float *v, float *out,
                                     int n, int causal)
{
	__shared__ float ks[KEYS][D], vs[KEYS][D];
	int row = blockIdx.x * blockDim.x + threadIdx.x;
	float mine[D], acc[D], most = -INFINITY, sum = 0;
	for (int d = 0; d < D; d++) {
		mine[d] = row < n ? q[row * D + d] * rsqrtf((float)D) : 0;
		acc[d] = 0;
	}
	for (int first = 0; first < n; first += KEYS) {
		for (int i = threadIdx.x; i < KEYS * D; i += blockDim.x) {
			bool there = first + i / D < n;
			ks[i / D][i % D] = there ? k[first * D + i] : 0;
			vs[i / D][i % D] = there ? v[first * D + i] : 0;
		}
		__syncthreads();
		for (int j = 0; j < KEYS && first + j < n; j++) {
			if (causal && first + j > row)
				break;
			float s = 0;
			for (int d = 0; d < D; d++)
				s += mine[d] * ks[j][d];
			float now = fmaxf(most, s), old = __expf(most - now), p = __expf(s - now);
			sum = sum * old + p;
			for (int d = 0; d < D; d++)
				acc[d] = acc[d] * old + p * vs[j][d];
			most = now;
		}
		__syncthreads();
	}
	if (row < n)
		for (int d = 0; d < D; d++)
			out[row * D + d] = acc[d] / sum;
}
