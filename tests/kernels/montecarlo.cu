// SPDX-License-Identifier: Apache-2.0
// montecarlo.cu: random numbers by Philox 4x32-10 (Salmon et al., 2011), and an estimate of pi: a
// count that is exact, so that the CPU must find the same.

static __device__ uint4 philox(uint4 c, unsigned k0, unsigned k1)
{
	for (int round = 0; round < 10; round++) {
		unsigned hi0 = __umulhi(0xD2511F53u, c.x), lo0 = 0xD2511F53u * c.x;
		unsigned hi1 = __umulhi(0xCD9E8D57u, c.z), lo1 = 0xCD9E8D57u * c.z;
		c = make_uint4(hi1 ^ c.y ^ k0, lo1, hi0 ^ c.w ^ k1, lo0);
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	return c;
}

extern "C" __global__ void philox_fill(uint4 *out, unsigned seed, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n)
		out[i] = philox(make_uint4(i, 0, 0, 0), seed, 7);
}

extern "C" __global__ void monte_carlo(unsigned long long *inside, unsigned seed, int rounds)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x, hits = 0;
	for (int r = 0; r < rounds; r++) {
		uint4 v = philox(make_uint4(i, r, 0, 0), seed, 0);
		double x = v.x * 0x1p-32, y = v.y * 0x1p-32, z = v.z * 0x1p-32, w = v.w * 0x1p-32;
		hits += x * x + y * y < 1;
		hits += z * z + w * w < 1;
	}
	hits = __reduce_add_sync(0xffffffffu, hits);
	if (threadIdx.x % 32 == 0)
		atomicAdd(inside, (unsigned long long)hits);
}
