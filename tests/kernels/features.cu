// SPDX-License-Identifier: Apache-2.0
// features.cu: what CUDA C++ offers kernels, a piece of each: that a driver takes the module is the
// test; a few results are looked at. Whatever nvcc makes of it must be known to the PTX loader.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
#include <cuda/atomic>
#include <cuda/barrier>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cassert>
#include <cstdio>

// a barrier is made by init(), not by its constructor
#pragma nv_diag_suppress static_var_with_dynamic_init

namespace cg = cooperative_groups;
#define KERNEL extern "C" __global__ void

KERNEL maths(float *f, double *d)
{
	float x = f[threadIdx.x];
	double y = d[threadIdx.x];
	int n;
	f[32] = __expf(x) + __logf(x) + __sinf(x) + __cosf(x) + __powf(x, 2.f) +
	        __fdividef(x, 3.f) + __frsqrt_rn(x) + __frcp_rd(x) + __fsqrt_ru(x) + rsqrtf(x) +
	        tanhf(x) + erff(x);
	f[33] = tgammaf(x) + lgammaf(x) + cbrtf(x) + hypotf(x, 1.f) + fmodf(x, 3.f) +
	        remainderf(x, 3.f) + ldexpf(x, 3) + sinf(x) + cosf(x) + tanf(x) + expf(x) +
	        logf(x) + powf(x, x);
	f[34] = atan2f(x, 2) + j0f(x) + normcdff(x) + sinpif(x) + __saturatef(x) + fdimf(x, 2) +
	        nextafterf(x, 2) + rintf(x) + roundf(x) + truncf(x) + __fadd_rz(x, 1) +
	        __fmul_ru(x, x);
	d[32] = sin(y) + cos(y) + exp(y) + log(y) + pow(y, y) + sqrt(y) + rsqrt(y) + erf(y) +
	        tgamma(y) + cbrt(y) + hypot(y, 1.) + fmod(y, 3.) + tanh(y) + atan2(y, 2.) + j0(y) +
	        normcdf(y);
	d[33] = rint(y) + round(y) + __dadd_ru(y, 1.) + __dmul_rd(y, 3.) + __fma_rz(y, y, y) +
	        __ddiv_ru(y, 3) + __dsqrt_rd(y) + __drcp_ru(y) + log1p(y) + expm1(y) +
	        frexp(y, &n) + n;
}

KERNEL integers(unsigned *o, unsigned long long *l, int n)
{
	unsigned x = o[threadIdx.x];
	unsigned long long w = l[threadIdx.x];
	o[32] = __popc(x) + __clz(x) + __ffs(x) + __brev(x) + __byte_perm(x, n, 0x1234) +
	        __funnelshift_l(x, n, 3) + __funnelshift_rc(x, n, 40) + __umulhi(x, n) +
	        __mul24(x, n) + __umul24(x, n) + __sad(x, n, 3) + __usad(x, n, 3) + __hadd(x, n) +
	        __rhadd(x, n) + __uhadd(x, n) + __urhadd(x, n) + __dp4a((int)x, n, 3) +
	        __dp2a_lo((int)x, n, 3) + __fns(x, n, 2);
	o[33] = __vadd2(x, n) + __vaddus4(x, n) + __vabsdiffu4(x, n) + __vmaxs2(x, n) +
	        __vcmpgtu4(x, n) + __vsetltu2(x, n) + __vavgu4(x, n) + __vsadu4(x, n) +
	        __vminu4(x, n) + __vaddss2(x, n) + __vneg2(x) + __vabsss4(x) + __vabsdiffs2(x, n) +
	        __vhaddu2(x, n);
	o[34] = __viaddmax_s32(x, n, 3) + __vimax3_s32(x, n, 3) + __viaddmin_u16x2(x, n, 4) +
	        __vimax_s16x2_relu(x, n) + __vimin3_s16x2(x, n, 7);
	l[32] = __popcll(w) + __clzll(w) + __ffsll(w) + __brevll(w) + __umul64hi(w, n) +
	        __mul64hi(w, n) + w / n + w % n;
	__int128 q = (__int128)w * w / n;
	l[33] = (unsigned long long)(q >> 64) + (unsigned long long)q;
}

KERNEL halves(__half *h, __nv_bfloat16 *b, float *f, int n)
{
	int i = threadIdx.x;
	__half x = h[i], y = h[i + n];
	__half2 p = {x, y}, q = {y, x};
	__nv_bfloat16 u = b[i], v = b[i + n];
	__nv_bfloat162 s = {u, v}, t = {v, u};
	h[64] = x + y + x * y - x / y + hsqrt(x) + hexp(x) + hlog(x) + hsin(x) + hcos(x) + hrcp(x) +
	        hrsqrt(x) + hexp2(x) + hlog2(x) + hfloor(x) + hrint(x) + htrunc(x) + hceil(x);
	h[65] = __hfma(x, y, x) + __hfma_sat(x, y, x) + __hfma_relu(x, y, x) + __hmax(x, y) +
	        __hmin_nan(x, y) + __habs(x) + __hneg(x) + __hadd_sat(x, y) + __hmul_sat(x, y) +
	        __hsub_sat(x, y);
	*(__half2 *)(h + 66) = __hfma2(p, q, p) + __hadd2_sat(p, q) + __hmax2(p, q) + h2exp(p) +
	                       h2sqrt(p) + __hfma2_relu(p, q, p) + __hcmadd(p, q, p) +
	                       __heq2(p, q) + __hltu2(p, q);
	h[68] = __float2half_rz(f[1]) + __float2half_rd(f[2]) + __float2half_ru(f[3]) +
	        __int2half_rn(n) + __ull2half_rz(n) + __double2half(f[3]) + __ushort2half_rd(n) +
	        __short2half_ru(n);
	f[64] = __half2float(x) + __half2int_rd(x) + __half2uint_rz(x) + __half2ll_rn(x) +
	        __half2short_ru(x) + __hlt(x, y) + __hne(x, y) + __hgeu(x, y) + __hisnan(x) +
	        __hbeq2(p, q) + __heq2_mask(p, q);
	b[64] = u + v + u * v - u / v + hsqrt(u) + hexp(u) + hlog(u) + hsin(u) + hcos(u) + hrcp(u) +
	        hexp2(u) + hfloor(u) + hrint(u) + __hfma(u, v, u) + __hfma_sat(u, v, u) +
	        __hfma_relu(u, v, u);
	*(__nv_bfloat162 *)(b + 66) = __hfma2(s, t, s) + __hmax2(s, t) + h2exp(s) + __heq2(s, t);
	b[68] = __float2bfloat16_rz(f[1]) + __int2bfloat16_rn(n) + __double2bfloat16(f[3]) +
	        __float2bfloat16_rd(f[2]) + __float2bfloat16_ru(f[2]);
	f[65] = __bfloat162float(u) + __bfloat162int_rd(u) + __hlt(u, v) + __hisnan(u);
}

KERNEL warps(int *o, int n)
{
	int x = o[threadIdx.x], all;
	unsigned m = __activemask(), id;
	unsigned long long now;
	x += __shfl_sync(m, x, 3) + __shfl_up_sync(m, x, 3) + __shfl_down_sync(m, x, 2, 16) +
	     __shfl_xor_sync(m, x, 1);
	x += __ballot_sync(m, x > 3) + __any_sync(m, x > 4) + __all_sync(m, x) +
	     __match_any_sync(m, x) + __reduce_add_sync(m, x) + __reduce_max_sync(m, (unsigned)x) +
	     __reduce_or_sync(m, (unsigned)x);
	x += __match_all_sync(m, x, &all) + all;
	double d = __shfl_xor_sync(m, (double)x, 4);
	__syncwarp();
	x += __syncthreads_count(x) + __syncthreads_and(x) + __syncthreads_or(x);
	__threadfence();
	__threadfence_system();
	__nanosleep(3);
	asm volatile("mov.u32 %0, %%smid;" : "=r"(id));
	asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
	o[32] = x + (int)d + (int)clock() + (int)clock64() + (int)id + (int)now + warpSize;
}

KERNEL atomics(int *o, unsigned long long *l, float *f, double *d, __half2 *h, __nv_bfloat162 *b,
               unsigned short *us, int n)
{
	__shared__ int s[64];
	__shared__ float sf;
	s[threadIdx.x] = 0;
	o[1] = atomicAdd(o, 1) + atomicSub(o, 2) + atomicMin(o, 3) + atomicMax(o, n) +
	       atomicAnd(o, n) + atomicOr(o, n) + atomicXor(o, n) + atomicExch(o, n) +
	       atomicCAS(o, 1, n) + atomicInc((unsigned *)o, n) + atomicDec((unsigned *)o, n) +
	       atomicAdd_block(o, 1) + atomicAdd_system(o, 2);
	l[1] = atomicAdd(l, 1) + atomicMin(l, 3) + atomicMax((long long *)l, (long long)n) +
	       atomicAnd(l, n) + atomicExch(l, n) + atomicCAS(l, 1, n);
	f[1] = atomicAdd(f, 1.f) + atomicExch(f, 2.f);
	d[1] = atomicAdd(d, 1.);
	h[1] = atomicAdd(h, h[2]);
	b[1] = atomicAdd(b, b[2]);
	us[1] = atomicCAS(us, (unsigned short)1, (unsigned short)2);
	atomicAdd(s + threadIdx.x % 64, 1);
	atomicAdd(&sf, 1.f);
	cuda::atomic_ref<int, cuda::thread_scope_device> r(o[2]);
	r.fetch_add(1, cuda::memory_order_acq_rel);
	r.store(3, cuda::memory_order_release);
	o[4] = r.load(cuda::memory_order_acquire) + s[n];
}

// out[i] = the sum of the block's values, by a group and by an asynchronous copy
KERNEL groups(const int *in, int *out)
{
	__shared__ int s[64];
	__shared__ cuda::barrier<cuda::thread_scope_block> ready;
	cg::thread_block block = cg::this_thread_block();
	if (block.thread_rank() == 0)
		init(&ready, blockDim.x);
	block.sync();
	cg::memcpy_async(block, s, in, sizeof(s));
	cg::wait(block);
	ready.arrive_and_wait();
	auto warp = cg::tiled_partition<32>(block);
	auto four = cg::tiled_partition<4>(block);
	int sum = cg::reduce(warp, s[threadIdx.x], cg::plus<int>());
	int scan = cg::inclusive_scan(four, s[threadIdx.x]);
	auto odd = cg::binary_partition(warp, threadIdx.x & 1);
	auto labelled = cg::labeled_partition(warp, (int)threadIdx.x % 3);
	int odds = 0;
	if (threadIdx.x & 1) {
		auto here = cg::coalesced_threads();
		odds = here.size() + here.shfl((int)threadIdx.x, 0);
	}
	out[threadIdx.x] =
	    sum * 1000 + scan + odds * 100000 + (int)(odd.size() + labelled.size()) * 0;
}

__constant__ float table[4] = {1, 2, 3, 4};
__device__ int global = 3;
__device__ const char *names[] = {"zero", "one"};

KERNEL memory(int *o, const int *__restrict__ r, int n)
{
	int a = __ldg(r) + __ldcg(r + 1) + __ldca(r) + __ldcs(r) + __ldcv(r) + (int)table[n] +
	        global + names[n][0];
	__stwt(o + 1, a);
	__stcg(o + 2, a);
	__stcs(o + 3, a);
	int4 v = __ldg((const int4 *)r);
	o[4] = v.x + v.w + __isGlobal(o) + __isShared(o) + __isLocal(&a);
	asm volatile("prefetch.global.L2 [%0];" ::"l"(o));
	switch (r[n]) {
	case 0:
		o[5] = r[5];
		break;
	case 1:
		o[5] = r[4] * 5;
		break;
	case 2:
		o[5] = r[3] / 3;
		break;
	case 3:
		o[5] = r[2] % 7;
		break;
	case 4:
		o[5] = r[1] ^ 9;
		break;
	case 5:
		o[5] = r[0] << 3;
		break;
	default:
		o[5] = 8;
	}
	int *heap = (int *)malloc(64), *stack = (int *)alloca(n * sizeof(int));
	for (int i = 0; i < n; i++)
		stack[i] = heap[i] = i;
	o[6] = stack[n / 2] + heap[n / 2];
	free(heap);
	memcpy(o + 8, o, 16);
	assert(n > 0);
	if (n > 100)
		printf("%d %s %f\n", n, "is large", 1.5);
	if (n > 1000)
		__trap();
}
