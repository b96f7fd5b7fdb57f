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
			page[0] = base + c + 1; // no fence: it would cost more than the chunk
		}
	}
	x[i] = v;
}

// ---- sharing -------------------------------------------------------------------------------
// sharing_persistent: a kernel that stays. Each block does `rounds` of arithmetic, which is a step,
// and looks at the host's flag, again and again, until that is set, `steps_max` steps are done or
// bound_ns are over. The first block counts its steps in host memory.
extern "C" __global__ void sharing_persistent(const volatile unsigned *stop,
					      volatile unsigned long long *progress, unsigned *sink,
					      unsigned rounds, unsigned steps_max,
					      unsigned long long bound_ns)
{
	__shared__ unsigned over;
	unsigned long long begin, now;
	unsigned x = threadIdx.x;
	asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
	for (unsigned step = 0;; step++) {
		if (threadIdx.x == 0) {
			asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
			over = step == steps_max || now - begin >= bound_ns || *stop;
			if (blockIdx.x == 0 && step)
				*progress = *progress + 1;
		}
		__syncthreads();
		bool end = over;
		__syncthreads();
		if (end)
			break;
#pragma unroll 1 // unrolled, a compiler makes one round of several
		for (unsigned k = 0; k < rounds; k++)
			x = x * 1664525u + 1013904223u + k;
	}
	sink[blockIdx.x * blockDim.x + threadIdx.x] = x; // or a compiler would drop the arithmetic
}

// ---- smoke: one short kernel; x → 3·x + 1 per launch, so that the host can check the number of
// launches.
extern "C" __global__ void smoke_step(unsigned *x, unsigned n)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n)
		x[i] = 3 * x[i] + 1;
}

// ---- telemetry: work that is traced. Each thread takes its element `iterations` times through
// x → mul·x + add; any grid of one or two dimensions.
extern "C" __global__ void telemetry_work(unsigned *x, unsigned mul, unsigned add,
					  unsigned iterations)
{
	unsigned i = (blockIdx.y * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x;
	unsigned v = x[i];
	for (unsigned k = 0; k < iterations; k++)
		v = v * mul + add;
	x[i] = v;
}

// ---- overhead: the shortest kernel there is.
extern "C" __global__ void overhead_empty(void)
{
}

// ---- queue-gate, and lib/gpuclock ------------------------------------------------------------
__device__ static unsigned long long gate_time()
{
	unsigned long long t;
	asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t));
	return t;
}

// gate_spin: so many rounds of dependent arithmetic. If stamps are asked for, the first thread
// notes %globaltimer at begin and end in [2·slot] and [2·slot + 1]. Each launch adds 1 to *count.
extern "C" __global__ void gate_spin(unsigned rounds, volatile unsigned long long *stamps,
				     unsigned slot, unsigned *count)
{
	unsigned x = threadIdx.x;
	unsigned long long begin = 0;
	if (stamps)
		begin = gate_time();
#pragma unroll 1
	for (unsigned i = 0; i < rounds; i++)
		x = x * 1664525u + 1013904223u;
	if (threadIdx.x || blockIdx.x)
		return;
	count[1] = x; // or a compiler would drop the arithmetic
	atomicAdd(&count[0], 1);
	if (stamps) {
		stamps[2 * slot] = begin;
		stamps[2 * slot + 1] = gate_time();
	}
}

// gate_clock: answers a host that asks for the time: [0] what it asks (1, 2, …; ~0: end), [1] the
// time, [2] what was answered. Ends after bound_ns without a question, or `looks` looks.
extern "C" __global__ void gate_clock(volatile unsigned long long *page,
				      unsigned long long bound_ns, unsigned looks)
{
	unsigned long long answered = 0, last = gate_time();
	page[2] = 0;
	for (unsigned i = 0; i < looks; i++) {
		unsigned long long asked = page[0], now = gate_time();
		if (asked == ~0ull || now - last > bound_ns)
			return;
		if (asked == answered)
			continue;
		page[1] = now;
		__threadfence_system();
		page[2] = answered = asked;
		last = now;
	}
}

// ---- slices: arithmetic that fills an SM, with where each block ran; and a stream of copies.
extern "C" __global__ void slices_busy(unsigned *where, unsigned *sink, unsigned iterations)
{
	unsigned x = threadIdx.x, sm;
#pragma unroll 1 // unrolled, a compiler makes one round of several
	for (unsigned k = 0; k < iterations; k++)
		x = x * 1664525u + 1013904223u + k;
	asm volatile("mov.u32 %0, %%smid;" : "=r"(sm));
	if (threadIdx.x == 0)
		where[blockIdx.x] = sm;
	sink[blockIdx.x * blockDim.x + threadIdx.x] = x; // or a compiler would drop the arithmetic
}

extern "C" __global__ void slices_copy(unsigned long long *to, const unsigned long long *from,
				       unsigned words, unsigned rounds)
{
	unsigned step = gridDim.x * blockDim.x;
	for (unsigned r = 0; r < rounds; r++)
		for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < words; i += step)
			to[i] = from[i] + r;
}
