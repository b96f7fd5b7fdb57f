// SPDX-License-Identifier: Apache-2.0
// softmax.cu: of the rows of a matrix, one block a row.

static __device__ float block_reduce(float v, bool sum)
{
	__shared__ float part[32];
	__syncthreads();
	for (int step = 16; step; step >>= 1) {
		float other = __shfl_xor_sync(0xffffffffu, v, step);
		v = sum ? v + other : fmaxf(v, other);
	}
	if (threadIdx.x % 32 == 0)
		part[threadIdx.x / 32] = v;
	__syncthreads();
	v = part[0];
	for (int w = 1; w < blockDim.x / 32; w++)
		v = sum ? v + part[w] : fmaxf(v, part[w]);
	return v;
}

extern "C" __global__ void softmax(const float *in, float *out, int columns)
{
	const float *x = in + (size_t)blockIdx.x * columns;
	float *y = out + (size_t)blockIdx.x * columns;
	float most = -INFINITY, sum = 0;
	for (int i = threadIdx.x; i < columns; i += blockDim.x)
		most = fmaxf(most, x[i]);
	most = block_reduce(most, false);
	for (int i = threadIdx.x; i < columns; i += blockDim.x)
		sum += __expf(x[i] - most);
	sum = block_reduce(sum, true);
	for (int i = threadIdx.x; i < columns; i += blockDim.x)
		y[i] = __expf(x[i] - most) / sum;
}
