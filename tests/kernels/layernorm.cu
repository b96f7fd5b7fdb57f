// SPDX-License-Identifier: Apache-2.0
// layernorm.cu: rows of half-precision numbers, one warp a row, statistics in single precision.
#include <cuda_fp16.h>

extern "C" __global__ void layernorm(const __half2 *in, const float2 *gamma, const float2 *beta,
                                     __half2 *out, int rows, int pairs, float eps)
{
	int row = blockIdx.x * blockDim.y + threadIdx.y;
	if (row >= rows)
		return;
	const __half2 *x = in + (size_t)row * pairs;
	float sum = 0, squares = 0;
	for (int i = threadIdx.x; i < pairs; i += 32) {
		float2 v = __half22float2(x[i]);
		sum += v.x + v.y;
		squares += v.x * v.x + v.y * v.y;
	}
	for (int step = 16; step; step >>= 1) {
		sum += __shfl_xor_sync(0xffffffffu, sum, step);
		squares += __shfl_xor_sync(0xffffffffu, squares, step);
	}
	float mean = sum / (2 * pairs), scale = rsqrtf(squares / (2 * pairs) - mean * mean + eps);
	for (int i = threadIdx.x; i < pairs; i += 32) {
		float2 v = __half22float2(x[i]), g = gamma[i], b = beta[i];
		v.x = (v.x - mean) * scale * g.x + b.x;
		v.y = (v.y - mean) * scale * g.y + b.y;
		out[(size_t)row * pairs + i] = __float22half2_rn(v);
	}
}
