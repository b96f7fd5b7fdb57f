// SPDX-License-Identifier: Apache-2.0
// stencil.cu: one step of a five-point stencil in two dimensions; the tile and its rim are in
// shared memory.

#define TILE 16

extern "C" __global__ void stencil(const float *in, float *out, int w, int h)
{
	__shared__ float s[TILE + 2][TILE + 2];
	int x = blockIdx.x * TILE + threadIdx.x, y = blockIdx.y * TILE + threadIdx.y;
	for (int i = threadIdx.y * TILE + threadIdx.x; i < (TILE + 2) * (TILE + 2);
	     i += TILE * TILE) {
		int sx = (int)blockIdx.x * TILE - 1 + i % (TILE + 2);
		int sy = (int)blockIdx.y * TILE - 1 + i / (TILE + 2);
		bool inside = sx >= 0 && sx < w && sy >= 0 && sy < h;
		s[i / (TILE + 2)][i % (TILE + 2)] = inside ? in[sy * w + sx] : 0;
	}
	__syncthreads();
	if (x >= w || y >= h)
		return;
	int tx = threadIdx.x + 1, ty = threadIdx.y + 1;
	float around = s[ty][tx - 1] + s[ty][tx + 1] + s[ty - 1][tx] + s[ty + 1][tx];
	out[y * w + x] = s[ty][tx] * 0.5f + around * 0.125f;
}
