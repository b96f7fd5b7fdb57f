// SPDX-License-Identifier: Apache-2.0
// kernels.cu: the kernels of the probes, one block per stage, in one fat binary (PTX and machine
// code) that every probe embeds. Plain CUDA, so that the software GPU runs them too.

// ---- context-gate and ioctls: a load whose progress the host sees while it runs.
// Each thread takes its element chunks × chunk times through x → mul·x + add (mod 2³², so the host
// can check any length: lib/affine.h). After each chunk the first thread writes to page, which is
// host memory: [0] chunks done in all (base + …), [1] %globaltimer at that. A time between two
// chunks above gap_ns, in which the context was not on the GPU, is noted: [2] how many so far,
// from [16] on pairs (last stamp before, first after), as long as there is room.
__device__ static unsigned long long ctx_time()
{
	unsigned long long t;
	asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t));
	return t;
}

extern "C" __global__ void ctx_work(unsigned *x, unsigned mul, unsigned add, unsigned chunk,
				    unsigned chunks, volatile unsigned long long *page,
				    unsigned long long base, unsigned long long gap_ns,
				    unsigned long long gap_room)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned v = x[i];
	unsigned long long last = i == 0 ? ctx_time() : 0;
	for (unsigned c = 0; c < chunks; c++) {
		for (unsigned k = 0; k < chunk; k++)
			v = v * mul + add;
		if (i == 0) {
			unsigned long long now = ctx_time();
			if (now - last > gap_ns) {
				unsigned long long n = page[2];
				if (n < gap_room) {
					page[16 + 2 * n] = last;
					page[17 + 2 * n] = now;
				}
				page[2] = n + 1;
			}
			last = now;
			page[1] = now;
			page[0] = base + c + 1;
			__threadfence_system();
		}
	}
	x[i] = v;
}
