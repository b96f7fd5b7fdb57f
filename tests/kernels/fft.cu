// SPDX-License-Identifier: Apache-2.0
// fft.cu: complex Fourier transforms of a power of two in shared memory, radix 2, one block each.

extern "C" __global__ void fft(const float2 *in, float2 *out, int log2n, float sign)
{
	extern __shared__ float2 s[];
	int n = 1 << log2n, t = threadIdx.x;
	const float2 *x = in + (size_t)blockIdx.x * n;
	for (int i = t; i < n; i += blockDim.x)
		s[__brev((unsigned)i) >> (32 - log2n)] = x[i];
	for (int half = 1; half < n; half <<= 1) {
		__syncthreads();
		for (int i = t; i < n / 2; i += blockDim.x) {
			int k = i & (half - 1), at = 2 * i - k;
			float si, co;
			sincospif(sign * k / half, &si, &co);
			float2 a = s[at], b = s[at + half];
			float2 w = {b.x * co - b.y * si, b.x * si + b.y * co};
			s[at] = make_float2(a.x + w.x, a.y + w.y);
			s[at + half] = make_float2(a.x - w.x, a.y - w.y);
		}
	}
	__syncthreads();
	for (int i = t; i < n; i += blockDim.x)
		out[(size_t)blockIdx.x * n + i] = s[i];
}
