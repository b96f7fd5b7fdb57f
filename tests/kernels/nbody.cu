// SPDX-License-Identifier: Apache-2.0
// nbody.cu: accelerations of bodies by all others, tiles of them in shared memory.

extern "C" __global__ void nbody(const float4 *body, float4 *accel, int n, float soften)
{
	extern __shared__ float4 tile[];
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	float4 me = i < n ? body[i] : make_float4(0, 0, 0, 0);
	float3 a = {0, 0, 0};
	for (int first = 0; first < n; first += blockDim.x) {
		int j = first + threadIdx.x;
		tile[threadIdx.x] = j < n ? body[j] : make_float4(0, 0, 0, 0);
		__syncthreads();
		for (int k = 0; k < blockDim.x; k++) {
			float dx = tile[k].x - me.x, dy = tile[k].y - me.y, dz = tile[k].z - me.z;
			float r = rsqrtf(dx * dx + dy * dy + dz * dz + soften);
			float f = tile[k].w * r * r * r;
			a.x += dx * f;
			a.y += dy * f;
			a.z += dz * f;
		}
		__syncthreads();
	}
	if (i < n)
		accel[i] = make_float4(a.x, a.y, a.z, 0);
}
