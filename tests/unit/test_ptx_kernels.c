// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_kernels.c: whole kernels: nvcc's output against the CPU; divergence, barriers, shuffles,
 * votes, atomics, calls, variables, threads; and that results and counts are exact and repeatable.
 */
#include <math.h>
#include <unistd.h>

#include "tests/unit/ptx_kernels.h"
#include "tests/unit/ptx_util.h"

static void *zeroed(size_t bytes)
{
	void *p = device_alloc(NULL, bytes, 64);
	ck_assert_ptr_nonnull(p);
	return p;
}

TEST(saxpy)
{
	enum { N = 10000 };
	struct ptx_module *m = load_ptx(nvcc_kernels);
	float *x = zeroed(N * 4), *y = zeroed(N * 4);
	struct {
		int n;
		float a, *x, *y;
	} p = {N - 7, 2.5f, x, y};
	struct ptx_result one, many;
	struct ptx_error err;
	for (int i = 0; i < N; i++) {
		x[i] = (float)i;
		y[i] = 1;
	}
	struct shape s = {.gx = 40, .bx = 256};
	ck_assert_int_eq(run_ptx(m, "saxpy", s, &p, &one, &err), PTX_OK);
	for (int i = 0; i < N; i++)
		ck_assert(y[i] == (i < N - 7 ? fmaf(2.5f, x[i], 1) : 1));
	/* 10 instructions for all 40 blocks' threads, 9 more for those in range, 1 ret, each */
	ck_assert_uint_eq(one.thread_instructions, 10240ull * 11 + (N - 7) * 9ull);
	ck_assert_uint_eq(one.warp_instructions, 320ull * 11 + (N - 7 + 31) / 32 * 9ull);
	ck_assert_uint_eq(one.global_bytes, (N - 7) * 12ull);
	s.workers = 4;
	ck_assert_int_eq(run_ptx(m, "saxpy", s, &p, &many, &err), PTX_OK);
	ck_assert_mem_eq(&one, &many, sizeof(one));
	const struct ptx_kernel_info *info = ptx_kernel_info(ptx_kernel_find(m, "saxpy"));
	ck_assert_uint_eq(info->n_params, 4);
	ck_assert_uint_eq(info->params[3].offset, 16);
	ck_assert_uint_eq(info->param_bytes, 24);
	ck_assert_uint_eq(info->target_sm, 90);
	ptx_module_free(m);
}
TEST_END

TEST(matmul)
{
	enum { N = 64 };
	struct ptx_module *m = load_ptx(nvcc_kernels);
	struct {
		float *a, *b, *c;
		int n;
	} p = {zeroed(N * N * 4), zeroed(N * N * 4), zeroed(N * N * 4), N};
	for (int i = 0; i < N * N; i++) {
		p.a[i] = (float)(i % 17) * 0.25f;
		p.b[i] = (float)(i % 13) - 6;
	}
	struct ptx_launch l = {
	    .grid = {N / 16, N / 16, 1}, .block = {16, 16, 1}, .params = &p, .max_workers = 3};
	struct ptx_result r;
	struct ptx_error e;
	ck_assert_int_eq(ptx_run(ptx_kernel_find(m, "matmul"), &l, &device, &r, &e), PTX_OK);
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			float s = 0;
			for (int k = 0; k < N; k++)
				s = fmaf(p.a[i * N + k], p.b[k * N + j], s);
			ck_assert(p.c[i * N + j] == s);
		}
	ck_assert_uint_eq(ptx_kernel_info(ptx_kernel_find(m, "matmul"))->static_shared_bytes, 2048);
	ptx_module_free(m);
}
TEST_END

TEST(reductions)
{
	enum { N = 30000 };
	struct ptx_module *m = load_ptx(nvcc_kernels);
	float *x = zeroed(N * 4), *sum = zeroed(4), want = 0;
	unsigned char *bytes = zeroed(N);
	unsigned *h = zeroed(1024), expect[256] = {0};
	for (int i = 0; i < N; i++) {
		x[i] = (float)(i % 64); /* sums are exact in any order */
		want += x[i];
		bytes[i] = (unsigned)i * (unsigned)i >> 3 & 255;
		expect[bytes[i]]++;
	}
	struct {
		void *x, *out;
		int n;
	} p = {x, sum, N}, q = {bytes, h, N};
	must_run(m, "reduce", (struct shape){.gx = 8, .bx = 256, .workers = 2}, &p);
	ck_assert(*sum == want);
	must_run(m, "histogram", (struct shape){.gx = 8, .bx = 256, .workers = 2}, &q);
	ck_assert_mem_eq(h, expect, sizeof(expect));
	ptx_module_free(m);
}
TEST_END

TEST(divergence)
{
	enum { N = 2000 };
	struct ptx_module *m = load_ptx(nvcc_kernels);
	unsigned *out = zeroed(N * 4);
	struct {
		unsigned *out;
		int n;
	} p = {out, N};
	must_run(m, "collatz", (struct shape){.gx = 20, .bx = 100}, &p);
	for (unsigned i = 0; i < N; i++) {
		unsigned c = 0;
		for (uint64_t v = i + 1; v != 1; c++)
			v = v & 1 ? 3 * v + 1 : v >> 1;
		ck_assert_uint_eq(out[i], c);
	}
	ptx_module_free(m);
}
TEST_END

/* Lanes of one warp fight for a lock: the winner leaves the loop at a higher PC. */
TEST(spinlock)
{
	struct ptx_module *m = load_ptx(nvcc_kernels);
	int *lock = zeroed(8);
	struct {
		int *lock, *counter;
	} p = {lock, lock + 1};
	must_run(m, "spinlock", (struct shape){.gx = 3, .bx = 96, .workers = 2}, &p);
	ck_assert_int_eq(lock[1], 288);
	ck_assert_int_eq(lock[0], 0);
	ptx_module_free(m);
}
TEST_END

/* Not a cooperative launch, but all blocks fit the device, so they may wait for each other. */
TEST(blocks_that_wait_for_each_other)
{
	struct ptx_module *m =
	    load_ptx(PTX_HEAD ".visible .entry k(.param .u64 p)\n{\n"
	                      ".reg .b64 %rd<2>; .reg .b32 %r<3>; .reg .pred %p<2>;\n"
	                      "ld.param.u64 %rd0, [p]; atom.global.add.u32 %r0, [%rd0], 1;\n"
	                      "wait: ld.volatile.global.u32 %r1, [%rd0]; mov.u32 %r2, %nctaid.x;\n"
	                      "setp.lt.u32 %p0, %r1, %r2; @%p0 bra wait; ret;\n}\n");
	uint32_t *count = zeroed(4);
	must_run(m, "k", (struct shape){.gx = 128, .bx = 1, .workers = 1}, &count);
	ck_assert_uint_eq(*count, 128);
	device_free(NULL, count);
	ptx_module_free(m);
}
TEST_END

#define BEGIN                                                                                      \
	PTX_HEAD ".visible .entry k(.param .u64 p)\n{\n"                                           \
		 ".reg .b64 %rd<9>; .reg .b32 %r<30>; .reg .pred %p<9>; .reg .f32 %f<9>;\n"        \
		 "ld.param.u64 %rd0, [p]; mov.u32 %r0, %tid.x; mul.wide.u32 %rd1, %r0, 4;\n"       \
		 "add.u64 %rd1, %rd0, %rd1;\n"
#define END "st.global.u32 [%rd1], %r9; ret;\n}\n"

/* Runs one kernel on one block; out[i] is the %r9 of thread i. Text inside may use %rd0. */
static void run_block(const char *text, uint32_t threads, uint32_t *out)
{
	struct ptx_module *m = load_ptx(text);
	uint32_t *buf = zeroed(4 * (threads + 1024));
	must_run(m, "k", (struct shape){.gx = 1, .bx = threads}, &buf);
	memcpy(out, buf, 4 * (size_t)threads);
	device_free(NULL, buf);
	ptx_module_free(m);
}

TEST(shuffles)
{
	uint32_t out[32];
	run_block(BEGIN
	          "shfl.sync.up.b32 %r9|%p1, %r0, 3, 0, -1; @!%p1 add.u32 %r9, %r9, 100;\n" END,
	          32, out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], i >= 3 ? i - 3 : i + 100);
	run_block(BEGIN
	          "shfl.sync.down.b32 %r9|%p1, %r0, 5, 31, -1; @!%p1 add.u32 %r9, %r9, 100;\n" END,
	          32, out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], i + 5 < 32 ? i + 5 : i + 100);
	/* width 8: clamp 7, segment mask 0x18 */
	run_block(BEGIN "shfl.sync.down.b32 %r9, %r0, 2, 0x1807, -1;\n" END, 32, out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], i % 8 + 2 < 8 ? i + 2 : i);
	run_block(BEGIN "shfl.sync.bfly.b32 %r9, %r0, 9, 31, -1;\n" END, 32, out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], i ^ 9);
	run_block(BEGIN "xor.b32 %r1, %r0, 21; shfl.sync.idx.b32 %r9, %r0, %r1, 31, -1;\n" END, 32,
	          out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], i ^ 21);
	/* tiles of four lanes, each with its own member mask */
	run_block(BEGIN "and.b32 %r1, %r0, 28; mov.u32 %r2, 15; shl.b32 %r2, %r2, %r1;\n"
	                "shfl.sync.bfly.b32 %r9, %r0, 3, 0x1c1f, %r2;\n" END,
	          32, out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], i ^ 3);
}
TEST_END

TEST(votes)
{
	uint32_t out[64];
	run_block(BEGIN "rem.u32 %r1, %r0, 3; setp.eq.u32 %p1, %r1, 0;\n"
	                "vote.sync.ballot.b32 %r9, %p1, -1;\n"
	                "vote.sync.any.pred %p2, %p1, -1; @!%p2 mov.u32 %r9, 1;\n"
	                "vote.sync.all.pred %p2, %p1, -1; @%p2 mov.u32 %r9, 2;\n"
	                "vote.sync.uni.pred %p2, %p1, -1; @%p2 mov.u32 %r9, 3;\n" END,
	          32, out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], 0x49249249u);
	run_block(BEGIN "and.b32 %r1, %r0, 3; match.any.sync.b32 %r9, %r1, -1;\n" END, 32, out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], 0x11111111u << (i & 3));
	run_block(BEGIN "shr.u32 %r1, %r0, 5; cvt.u64.u32 %rd2, %r1;\n"
	                "match.all.sync.b64 %r9|%p1, %rd2, -1; @!%p1 mov.u32 %r9, 7;\n" END,
	          64, out);
	for (uint32_t i = 0; i < 64; i++)
		ck_assert_uint_eq(out[i], ~0u);
	run_block(BEGIN "neg.s32 %r1, %r0; redux.sync.min.s32 %r2, %r1, -1;\n"
	                "redux.sync.add.s32 %r3, %r0, -1; redux.sync.xor.b32 %r4, %r0, -1;\n"
	                "sub.s32 %r9, %r3, %r2; add.s32 %r9, %r9, %r4;\n" END,
	          32, out);
	ck_assert_uint_eq(out[5], 496 + 31 + 0);
	/* half the lanes leave; activemask and votes see the rest; they meet again */
	run_block(BEGIN "mov.u32 %r9, 0; and.b32 %r1, %r0, 1; setp.eq.u32 %p1, %r1, 0;\n"
	                "@%p1 bra skip; activemask.b32 %r9; bra join;\n"
	                "skip: vote.sync.ballot.b32 %r9, 1, 0x55555555;\n"
	                "join: bar.warp.sync -1; activemask.b32 %r2; xor.b32 %r9, %r9, %r2;\n" END,
	          32, out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], i & 1 ? 0x55555555 : 0xaaaaaaaa);
}
TEST_END

/* A warp-wide instruction on two paths: those that come first wait for the others. */
TEST(sync_waits)
{
	uint32_t out[32];
	run_block(BEGIN "setp.lt.u32 %p1, %r0, 16; @%p1 bra low;\n"
	                "mov.u32 %r1, 100; bar.warp.sync -1; bra join;\n"
	                "low: mov.u32 %r1, 200; bar.warp.sync -1;\n"
	                "join: shfl.sync.bfly.b32 %r9, %r1, 16, 31, -1;\n" END,
	          32, out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], i < 16 ? 100 : 200);
}
TEST_END

TEST(barriers)
{
	uint32_t out[256];
	/* reverse through shared memory; the last warp leaves before the barrier */
	run_block(BEGIN
	          ".shared .b32 s[256]; mov.u32 %r1, s; mad.lo.u32 %r2, %r0, 4, %r1;\n"
	          "setp.ge.u32 %p1, %r0, 224; mov.u32 %r9, 5; @%p1 bra out;\n"
	          "st.shared.u32 [%r2], %r0; bar.sync 0;\n"
	          "sub.u32 %r3, 223, %r0; mad.lo.u32 %r3, %r3, 4, %r1; ld.shared.u32 %r9, [%r3];\n"
	          "out:\n" END,
	          256, out);
	for (uint32_t i = 0; i < 256; i++)
		ck_assert_uint_eq(out[i], i < 224 ? 223 - i : 5);
	run_block(BEGIN "setp.lt.u32 %p1, %r0, 77; barrier.cta.red.popc.aligned.u32 %r9, 3, %p1;\n"
	                "bar.red.and.pred %p2, 3, %p1; @%p2 add.u32 %r9, %r9, 1000;\n"
	                "bar.red.or.pred %p3, 3, !%p1; @%p3 add.u32 %r9, %r9, 2000;\n" END,
	          160, out);
	for (uint32_t i = 0; i < 160; i++)
		ck_assert_uint_eq(out[i], 2077);
	/* warp 0 produces and only arrives; warp 1 waits for it */
	run_block(BEGIN ".shared .b32 s; setp.lt.u32 %p1, %r0, 32; mov.u32 %r9, 1;\n"
	                "@!%p1 bra wait; st.shared.u32 [s], 42; bar.arrive 1, 64; bra out;\n"
	                "wait: bar.sync 1, 64; ld.shared.u32 %r9, [s];\n"
	                "out:\n" END,
	          64, out);
	for (uint32_t i = 0; i < 64; i++)
		ck_assert_uint_eq(out[i], i < 32 ? 1 : 42);
	/* one warp spins on a flag that another one sets */
	run_block(BEGIN
	          ".shared .b32 s; setp.eq.u32 %p1, %r0, 0; @%p1 st.shared.u32 [s], 0;\n"
	          "bar.sync 0; setp.lt.u32 %p2, %r0, 32; @!%p2 bra set;\n"
	          "spin: ld.volatile.shared.u32 %r9, [s]; setp.eq.u32 %p3, %r9, 0; @%p3 bra spin;\n"
	          "bra out; set: mov.u32 %r9, 9; st.volatile.shared.u32 [s], %r9; out:\n" END,
	          64, out);
	for (uint32_t i = 0; i < 64; i++)
		ck_assert_uint_eq(out[i], 9);
}
TEST_END

/* Blocks that wait for all others: by the workspace in %envreg, as cooperative groups do. */
TEST(grid_barrier)
{
	struct ptx_module *m = load_ptx(
	    PTX_HEAD
	    ".visible .entry k(.param .u64 p)\n{\n"
	    ".reg .b64 %rd<9>; .reg .b32 %r<9>; .reg .pred %p<3>;\n"
	    "ld.param.u64 %rd0, [p]; mov.u32 %r0, %envreg2; cvt.u64.u32 %rd1, %r0;\n"
	    "mov.u32 %r0, %envreg1; cvt.u64.u32 %rd2, %r0; bfi.b64 %rd1, %rd2, %rd1, 32, 32;\n"
	    "red.global.add.u32 [%rd0], 1; bar.sync 0;\n"
	    "mov.u32 %r1, %tid.x; setp.ne.u32 %p1, %r1, 0; @%p1 bra wait;\n"
	    "mov.u32 %r2, %nctaid.x; atom.add.release.gpu.u32 %r3, [%rd1+4], 1;\n"
	    "spin: ld.acquire.gpu.u32 %r3, [%rd1+4]; setp.lt.u32 %p2, %r3, %r2; @%p2 bra spin;\n"
	    "wait: bar.sync 0; ld.global.u32 %r4, [%rd0];\n"
	    "mov.u32 %r5, %ctaid.x; mad.lo.u32 %r5, %r5, 64, %r1; mul.wide.u32 %rd3, %r5, 4;\n"
	    "add.u64 %rd3, %rd0, %rd3; st.global.u32 [%rd3+4], %r4; ret;\n}\n");
	uint32_t *buf = zeroed(4 * (40 * 64 + 1));
	must_run(m, "k", (struct shape){.gx = 40, .bx = 64, .workers = 3, .cooperative = true},
	         &buf);
	for (int i = 0; i <= 40 * 64; i++)
		ck_assert_uint_eq(buf[i], 40 * 64);
	ptx_module_free(m);
}
TEST_END

TEST(atomics)
{
	uint32_t *b = zeroed(256);
	struct ptx_module *m = load_ptx(
	    PTX_HEAD
	    ".visible .entry k(.param .u64 p)\n{\n"
	    ".reg .b64 %rd<9>; .reg .b32 %r<9>; .reg .f32 %f<3>; .reg .f64 %d<3>;\n"
	    "ld.param.u64 %rd0, [p]; mov.u32 %r0, %tid.x; add.u32 %r1, %r0, 1;\n"
	    "cvt.u64.u32 %rd1, %r1; cvt.rn.f32.u32 %f0, %r1; cvt.rn.f64.u32 %d0, %r1;\n"
	    "atom.global.add.u32 %r2, [%rd0], %r1; red.global.max.s32 [%rd0+4], %r1;\n"
	    "neg.s32 %r3, %r1; red.min.s32 [%rd0+8], %r3; red.global.min.u32 [%rd0+12], %r3;\n"
	    "red.or.b32 [%rd0+16], %r1; red.global.xor.b32 [%rd0+20], %r1;\n"
	    "not.b32 %r4, %r1; red.global.and.b32 [%rd0+24], %r4;\n"
	    "red.global.inc.u32 [%rd0+28], 9; red.global.dec.u32 [%rd0+32], 6;\n"
	    "atom.global.cas.b32 %r5, [%rd0+36], 0, %r1; atom.global.exch.b32 %r5, [%rd0+40], 3;\n"
	    "red.global.add.f32 [%rd0+44], %f0; red.global.add.f64 [%rd0+48], %d0;\n"
	    "red.global.add.u64 [%rd0+56], %rd1; red.global.max.u64 [%rd0+64], %rd1; ret;\n}\n");
	b[6] = ~0u;
	b[3] = ~0u;
	must_run(m, "k", (struct shape){.gx = 4, .bx = 64, .workers = 4}, &b);
	uint32_t all = 0;
	float f;
	double d;
	uint64_t u;
	for (uint32_t i = 1; i <= 64; i++)
		all |= i;
	ck_assert_uint_eq(b[0], 4 * 65 * 32);
	ck_assert_int_eq((int)b[1], 64);
	ck_assert_int_eq((int)b[2], -64);
	ck_assert_uint_eq(b[3], (uint32_t)-64);
	ck_assert_uint_eq(b[4], all);
	ck_assert_uint_eq(b[5], 0); /* each value four times */
	ck_assert_uint_eq(b[6], ~all);
	ck_assert_uint_eq(b[7], 256 % 10);
	/* dec wraps to 6 from 0: a period of seven */
	ck_assert_uint_eq(b[8], (7 - 256 % 7) % 7);
	ck_assert_uint_ne(b[9], 0);
	ck_assert_uint_eq(b[10], 3);
	memcpy(&f, &b[11], 4);
	memcpy(&d, &b[12], 8);
	memcpy(&u, &b[14], 8);
	ck_assert(f == 4 * 65 * 32 && d == 4 * 65 * 32 && u == 4 * 65 * 32);
	memcpy(&u, &b[16], 8);
	ck_assert_uint_eq(u, 64);
	ptx_module_free(m);
}
TEST_END

TEST(memory_spaces)
{
	uint32_t out[64];
	/* vectors, narrow types with sign, local and generic addresses, dynamic shared memory */
	run_block(BEGIN
	          ".local .align 8 .b8 l[16]; .reg .b16 %h<5>; mov.b64 %rd2, l;\n"
	          "cvta.local.u64 %rd3, %rd2; st.local.v2.u32 [%rd2], {%r0, 0xfffe};\n"
	          "ld.s16 %r1, [%rd3+4]; ld.u32 %r2, [%rd3]; ld.local.s8 %h0, [l+4];\n"
	          "cvt.s32.s16 %r3, %h0; add.s32 %r9, %r1, %r2; mad.lo.s32 %r9, %r3, 1000, %r9;\n"
	          "isspacep.local %p1, %rd3; @!%p1 mov.u32 %r9, 0;\n"
	          "isspacep.global %p1, %rd0; @!%p1 mov.u32 %r9, 0;\n" END,
	          64, out);
	for (int i = 0; i < 64; i++)
		ck_assert_int_eq((int)out[i], i - 2 - 2000);
	struct ptx_module *m = load_ptx(
	    PTX_HEAD
	    ".global .align 4 .u32 counter = 5; .const .align 4 .b8 table[8] = {1, 0, 0, 0, 0xfe, "
	    "255, 255, 255};\n"
	    ".global .align 8 .u64 link[2] = {generic(counter), counter+4};\n"
	    ".global .f32 third = 0f3EAAAAAB; .extern .shared .align 16 .b8 dyn[];\n"
	    ".visible .entry k(.param .u64 p, .param .align 4 .b8 s[12], .param .u16 t)\n{\n"
	    ".reg .b64 %rd<9>; .reg .b32 %r<9>; .shared .b32 first;\n"
	    "ld.param.u64 %rd0, [p]; ld.param.u32 %r0, [s+8]; ld.param.u16 %r1, [t];\n"
	    "ld.global.u64 %rd1, [link]; ld.u32 %r2, [%rd1]; ld.const.s32 %r3, [table+4];\n"
	    "mov.u32 %r4, dyn; st.shared.u32 [%r4+12], 77; ld.shared.u32 %r5, [dyn+12];\n"
	    "st.shared.u32 [first], 1; st.global.v4.u32 [%rd0], {%r0, %r1, %r2, %r3};\n"
	    "st.global.v2.u32 [%rd0+16], {%r5, %r4}; add.u32 %r2, %r2, 1; st.global.u32 [counter], "
	    "%r2;\n"
	    "mov.u32 %r6, %dynamic_smem_size; st.global.u32 [%rd0+24], %r6; ret;\n}\n");
	uint32_t *b = zeroed(64);
	struct {
		uint32_t *p, s[3];
		uint16_t t;
	} p = {b, {1, 2, 3}, 65535};
	must_run(m, "k", (struct shape){.gx = 1, .bx = 1, .dynamic_shared = 48}, &p);
	void *addr;
	size_t size;
	ck_assert(ptx_global_find(m, "counter", &addr, &size) && size == 4);
	ck_assert_uint_eq(*(uint32_t *)addr, 6);
	ck_assert(ptx_global_find(m, "third", &addr, &size) && *(float *)addr == 1.0f / 3);
	ck_assert(!ptx_global_find(m, "absent", &addr, &size));
	uint32_t want[7] = {3, 65535, 5, (uint32_t)-2, 77, 16, 48};
	ck_assert_mem_eq(b, want, sizeof(want));
	ptx_module_free(m);
}
TEST_END

TEST(calls)
{
	uint32_t out[40];
	run_block(
	    PTX_HEAD
	    ".func (.param .b32 ret) inner(.param .b32 x)\n{ .reg .b32 %r<4>; .reg .pred %p;\n"
	    "ld.param.u32 %r0, [x]; setp.gt.u32 %p, %r0, 20; @%p bra big;\n"
	    "add.u32 %r1, %r0, 1; st.param.b32 [ret], %r1; ret;\n"
	    "big: mov.u32 %r1, 7; st.param.b32 [ret], %r1; ret; }\n"
	    ".func (.param .b32 ret) outer(.param .b32 x)\n{ .reg .b32 %r<4>;\n"
	    "ld.param.u32 %r0, [x]; { .param .b32 a; .param .b32 b; st.param.b32 [a+0], %r0;\n"
	    "call.uni (b), inner, (a); ld.param.b32 %r1, [b+0]; }\n"
	    "mul.lo.u32 %r1, %r1, 10; st.param.b32 [ret+0], %r1; ret; }\n"
	    ".visible .entry k(.param .u64 p)\n{ .reg .b64 %rd<9>; .reg .b32 %r<30>; .reg .pred "
	    "%p1;\n"
	    "ld.param.u64 %rd0, [p]; mov.u32 %r0, %tid.x; mul.wide.u32 %rd1, %r0, 4;\n"
	    "add.u64 %rd1, %rd0, %rd1; mov.u32 %r9, 3; setp.ge.u32 %p1, %r0, 4;\n"
	    "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r0; st.param.b32 [b], 8;\n"
	    "@%p1 call (b), outer, (a); ld.param.b32 %r9, [b]; }\n" END,
	    40, out);
	for (uint32_t i = 0; i < 40; i++)
		ck_assert_uint_eq(out[i], i < 4 ? 8 : i > 20 ? 70 : (i + 1) * 10);
	run_block(BEGIN
	          "t: .branchtargets A, B, C; rem.u32 %r1, %r0, 3; brx.idx %r1, t;\n"
	          "A: mov.u32 %r9, 11; bra out; B: mov.u32 %r9, 22; bra out; C: mov.u32 %r9, 33;\n"
	          "out:\n" END,
	          40, out);
	for (uint32_t i = 0; i < 40; i++)
		ck_assert_uint_eq(out[i], (i % 3 + 1) * 11);
}
TEST_END

TEST(special_registers)
{
	struct ptx_module *m = load_ptx(
	    PTX_HEAD
	    ".visible .entry k(.param .u64 p)\n{\n"
	    ".reg .b64 %rd<9>; .reg .b32 %r<20>; .reg .pred q; ld.param.u64 %rd0, [p];\n"
	    "mov.u32 %r0, %tid.x; mov.u32 %r1, %tid.y; mov.u32 %r2, %ntid.x;\n"
	    "mad.lo.u32 %r3, %r1, %r2, %r0; mov.u32 %r4, %laneid; mov.u32 %r5, %warpid;\n"
	    "mad.lo.u32 %r5, %r5, WARP_SZ, %r4; sub.u32 %r5, %r5, %r3;\n"
	    "mov.u32 %r6, %lanemask_lt; popc.b32 %r6, %r6; sub.u32 %r6, %r6, %r4;\n"
	    "mov.u32 %r7, %lanemask_ge; popc.b32 %r7, %r7; add.u32 %r7, %r7, %r4;\n"
	    "mov.u32 %r8, %lanemask_eq; bfind.u32 %r8, %r8; sub.u32 %r8, %r8, %laneid;\n"
	    "mov.u64 %rd2, %clock64; mov.u64 %rd3, %globaltimer; setp.gt.u64 q, %rd2, %rd3;\n"
	    "selp.b32 %r9, 1, 0, q; mul.wide.u32 %rd1, %r3, 20; add.u64 %rd1, %rd0, %rd1;\n"
	    "st.global.u32 [%rd1], %r5; st.global.u32 [%rd1+4], %r6; st.global.u32 [%rd1+8], %r7;\n"
	    "st.global.u32 [%rd1+12], %r8; st.global.u32 [%rd1+16], %r9; ret;\n}\n");
	uint32_t(*b)[5] = zeroed(77 * sizeof(*b)), want[5] = {0, 0, 32, 0, 0};
	must_run(m, "k", (struct shape){.gx = 1, .bx = 7, .by = 11}, &b);
	for (int i = 0; i < 77; i++)
		ck_assert_msg(!memcmp(b[i], want, sizeof(want)), "thread %d", i);
	ptx_module_free(m);
}
TEST_END

/* Runs k with `bx` threads; `text` becomes what that wrote to `fd`, 1 or 2. */
static enum ptx_status run_captured(struct ptx_module *m, uint32_t bx, uint32_t **b, int fd,
                                    char *text, size_t len, struct ptx_error *e)
{
	FILE *file = tmpfile(), *stream = fd == 1 ? stdout : stderr;
	ck_assert_ptr_nonnull(file);
	fflush(stream);
	int saved = dup(fd);
	dup2(fileno(file), fd);
	enum ptx_status s = run_ptx(m, "k", (struct shape){.gx = 1, .bx = bx}, b, NULL, e);
	fflush(stream);
	dup2(saved, fd);
	close(saved);
	rewind(file);
	text[fread(text, 1, len - 1, file)] = 0;
	fclose(file);
	return s;
}

/* The device run-time: printf with every kind of argument, malloc and free, assert. */
TEST(system_calls)
{
	struct ptx_module *m = load_ptx(
	    PTX_HEAD
	    ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
	    ".extern .func (.param .b64 r) malloc(.param .b64 n);\n"
	    ".extern .func free(.param .b64 p);\n"
	    ".extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 "
	    "d, "
	    ".param .b64 e);\n"
	    ".global .align 1 .b8 fmt[24] = {37, 100, 32, 37, 115, 32, 37, 46, 50, 102, 32, 37, "
	    "108, "
	    "108, 120, 32, 37, 37, 10, 0};\n"
	    ".global .align 1 .b8 word[3] = {104, 105, 0};\n"
	    ".visible .entry k(.param .u64 p)\n{\n"
	    ".reg .b64 %rd<9>; .reg .b32 %r<9>; .reg .pred %p; .local .align 8 .b8 args[32];\n"
	    "ld.param.u64 %rd0, [p]; mov.u32 %r0, %tid.x; add.u32 %r0, %r0, -2;\n"
	    "mov.u64 %rd1, args; cvta.local.u64 %rd2, %rd1; st.local.u32 [args], %r0;\n"
	    "mov.u64 %rd3, word; st.local.u64 [args+8], %rd3;\n"
	    "st.local.f64 [args+16], 0d400A000000000000; st.local.u64 [args+24], 0xabcdef012;\n"
	    "mov.u64 %rd4, fmt; { .param .b64 f; .param .b64 a; .param .b32 r;\n"
	    "st.param.b64 [f], %rd4; st.param.b64 [a], %rd2; call (r), vprintf, (f, a);\n"
	    "ld.param.b32 %r1, [r]; st.global.u32 [%rd0], %r1; }\n"
	    "{ .param .b64 n; .param .b64 r; st.param.b64 [n], 100; call (r), malloc, (n);\n"
	    "ld.param.b64 %rd5, [r]; } st.u32 [%rd5+96], 5; ld.global.u32 %r2, [%rd5+96];\n"
	    "st.global.u32 [%rd0+4], %r2; { .param .b64 n; st.param.b64 [n], %rd5; call free, (n); "
	    "}\n"
	    "setp.lt.s32 %p, %r0, 0; @%p bra out; { .param .b64 a; .param .b64 b; .param .b32 c;\n"
	    ".param .b64 d; .param .b64 e; st.param.b64 [a], %rd3; st.param.b64 [b], %rd3;\n"
	    "st.param.b32 [c], 12; st.param.b64 [d], %rd3; st.param.b64 [e], 1;\n"
	    "call __assertfail, (a, b, c, d, e); } out: ret;\n}\n");
	uint32_t *b = zeroed(8);
	struct ptx_error e;
	char text[200];
	int before = device_n;
	enum ptx_status s = run_captured(m, 2, &b, 1, text, sizeof(text), &e);
	ck_assert_int_eq(s, PTX_OK);
	ck_assert_str_eq(text, "-2 hi 3.25 abcdef012 %\n-1 hi 3.25 abcdef012 %\n");
	ck_assert_uint_eq(b[0], 4);
	ck_assert_uint_eq(b[1], 5);
	ck_assert_int_eq(device_n, before);
	fflush(stdout);
	int saved = dup(1);
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout));
	s = run_captured(m, 4, &b, 2, text, sizeof(text), &e);
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	ck_assert_int_eq(s, PTX_ASSERT);
	ck_assert_ptr_nonnull(strstr(e.text, "hi:12: assertion 'hi' failed; kernel 'k'"));
	ck_assert_str_eq(text,
	                 "hi:12: hi: block: [0,0,0], thread: [2,0,0] Assertion `hi` failed.\n"
	                 "hi:12: hi: block: [0,0,0], thread: [3,0,0] Assertion `hi` failed.\n");
	ptx_module_free(m);
}
TEST_END

TESTS("ptx_kernels", saxpy, matmul, reductions, divergence, spinlock,
      blocks_that_wait_for_each_other, shuffles, votes, sync_waits, barriers, grid_barrier, atomics,
      memory_spaces, calls, special_registers, system_calls)
