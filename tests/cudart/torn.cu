// SPDX-License-Identifier: Apache-2.0
/* torn.cu: vector accesses of 8 and 16 bytes move at once: a block never sees half of what another
 * one stores. Scans that look back at other blocks' sums put a value and its state in one such
 * store. */
#include "t.h"

#define PAIRS 64
#define ROUNDS 10000

struct shared_words {
	uint4 four;
	ulonglong2 two;
	uint2 pair;
};

static __device__ void store(struct shared_words *w, unsigned i)
{
	asm volatile("st.relaxed.gpu.v4.u32 [%0], {%1, %1, %1, %1};" ::"l"(&w->four), "r"(i));
	asm volatile("st.relaxed.gpu.v2.u64 [%0], {%1, %1};" ::"l"(&w->two), "l"(~(size_t)i));
	asm volatile("st.relaxed.gpu.v2.u32 [%0], {%1, %1};" ::"l"(&w->pair), "r"(i));
}

static __device__ bool whole(struct shared_words *w)
{
	unsigned a, b, c, d, e, f;
	size_t x, y;
	asm volatile("ld.relaxed.gpu.v4.u32 {%0, %1, %2, %3}, [%4];"
	             : "=r"(a), "=r"(b), "=r"(c), "=r"(d)
	             : "l"(&w->four));
	asm volatile("ld.relaxed.gpu.v2.u64 {%0, %1}, [%2];" : "=l"(x), "=l"(y) : "l"(&w->two));
	asm volatile("ld.relaxed.gpu.v2.u32 {%0, %1}, [%2];" : "=r"(e), "=r"(f) : "l"(&w->pair));
	return a == b && b == c && c == d && x == y && e == f;
}

/* Blocks by twos: one stores, the other looks on. */
static __global__ void race(struct shared_words *all, int *torn)
{
	struct shared_words *w = all + blockIdx.x / 2;
	if (blockIdx.x % 2 == 0)
		for (unsigned i = 1; i <= ROUNDS; i++)
			store(w, i);
	else
		for (unsigned i = 1; i <= ROUNDS; i++)
			if (!whole(w))
				atomicAdd(torn, 1);
}

int main(void)
{
	struct shared_words *w;
	int *torn;
	OK(cudaMalloc(&w, PAIRS * sizeof(*w)));
	OK(cudaMemset(w, 0xff, PAIRS * sizeof(*w)));
	OK(cudaMallocManaged(&torn, sizeof(*torn)));
	*torn = 0;
	race<<<2 * PAIRS, 1>>>(w, torn);
	OK(cudaDeviceSynchronize());
	TRUE(*torn == 0);
	puts("ok");
	return 0;
}
