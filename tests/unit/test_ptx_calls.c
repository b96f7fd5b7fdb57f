// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_calls.c: functions that are called, not inlined: recursion, pointers, frames, alloca;
 * and what can go wrong with them.
 */
#include "tests/unit/ptx_util.h"

#define KERNEL                                                                                     \
	".visible .entry k(.param .u64 p)\n{\n"                                                    \
	".reg .b64 %rd<9>; .reg .b32 %r<30>; .reg .pred %p<9>;\n"                                  \
	"ld.param.u64 %rd0, [p]; mov.u32 %r0, %tid.x; mul.wide.u32 %rd1, %r0, 4;\n"                \
	"add.u64 %rd1, %rd0, %rd1;\n"
#define END "st.global.u32 [%rd1], %r9; ret;\n}\n"

static enum ptx_status run(const char *text, uint32_t threads, uint32_t *out, struct ptx_error *e)
{
	struct ptx_module *m = load_ptx(text);
	uint32_t *buf = device_alloc(NULL, 4 * threads, 64);
	enum ptx_status s = run_ptx(m, "k", (struct shape){.gx = 1, .bx = threads}, &buf, NULL, e);
	memcpy(out, buf, 4 * (size_t)threads);
	device_free(NULL, buf);
	ptx_module_free(m);
	return s;
}

static void must(const char *text, uint32_t threads, uint32_t *out)
{
	struct ptx_error e;
	enum ptx_status s = run(text, threads, out, &e);
	ck_assert_msg(s == PTX_OK, "status %d, line %d: %s", s, e.line, e.text);
}

static uint32_t fib(uint32_t n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

/* Every lane recurses to another depth; registers live over a call are each activation's own. */
#define FIB                                                                                        \
	".func (.param .b32 ret) fib(.param .b32 n)\n{\n"                                          \
	".reg .b32 %r<9>; .reg .pred %p, %q;\n"                                                    \
	"ld.param.u32 %r0, [n]; setp.lt.u32 %p, %r0, 2; @%p bra leaf;\n"                           \
	"and.b32 %r5, %r0, 1; setp.eq.u32 %q, %r5, 1; sub.u32 %r1, %r0, 1;\n"                      \
	"{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r1;\n"                                 \
	"call.uni (b), fib, (a); ld.param.b32 %r2, [b]; }\n"                                       \
	"sub.u32 %r1, %r1, 1; { .param .b32 a; .param .b32 b; st.param.b32 [a], %r1;\n"            \
	"call.uni (b), fib, (a); ld.param.b32 %r3, [b]; }\n"                                       \
	"add.u32 %r4, %r2, %r3; and.b32 %r6, %r0, 1; @%q sub.u32 %r6, %r6, 1;\n"                   \
	"add.u32 %r4, %r4, %r6; st.param.b32 [ret], %r4; ret;\n"                                   \
	"leaf: st.param.b32 [ret], %r0; ret; }\n"

TEST(recursion)
{
	uint32_t out[64];
	must(PTX_HEAD FIB KERNEL "rem.u32 %r1, %r0, 14; setp.eq.u32 %p1, %r1, 3; mov.u32 %r9, 5;\n"
	                         "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r1;\n"
	                         "st.param.b32 [b], 77;\n"
	                         "@!%p1 call (b), fib, (a); ld.param.b32 %r9, [b]; }\n" END,
	     64, out);
	for (uint32_t i = 0; i < 64; i++)
		ck_assert_uint_eq(out[i], i % 14 == 3 ? 77 : fib(i % 14));
}
TEST_END

/* Two functions that call each other, in a function that is inlined, in a loop. */
TEST(mutual_recursion)
{
	uint32_t out[40];
	must(PTX_HEAD
	     ".func (.param .b32 r) odd(.param .b32 n);\n"
	     ".func (.param .b32 r) even(.param .b32 n)\n{ .reg .b32 %r<4>; .reg .pred %p;\n"
	     "ld.param.u32 %r0, [n]; mov.u32 %r1, 1; setp.eq.u32 %p, %r0, 0; @%p bra out;\n"
	     "sub.u32 %r0, %r0, 1; { .param .b32 a; .param .b32 b; st.param.b32 [a], %r0;\n"
	     "call (b), odd, (a); ld.param.b32 %r1, [b]; } out: st.param.b32 [r], %r1; ret; }\n"
	     ".func (.param .b32 r) odd(.param .b32 n)\n{ .reg .b32 %r<4>; .reg .pred %p;\n"
	     "ld.param.u32 %r0, [n]; mov.u32 %r1, 0; setp.eq.u32 %p, %r0, 0; @%p bra out;\n"
	     "sub.u32 %r0, %r0, 1; { .param .b32 a; .param .b32 b; st.param.b32 [a], %r0;\n"
	     "call (b), even, (a); ld.param.b32 %r1, [b]; } out: st.param.b32 [r], %r1; ret; }\n"
	     ".func (.param .b32 r) ask(.param .b32 n)\n{ .reg .b32 %r<4>;\n"
	     "ld.param.u32 %r0, [n]; { .param .b32 a; .param .b32 b; st.param.b32 [a], %r0;\n"
	     "call (b), even, (a); ld.param.b32 %r1, [b]; } st.param.b32 [r], %r1; ret; }\n" KERNEL
	     "mov.u32 %r9, 0; mov.u32 %r1, 0; loop: add.u32 %r2, %r0, %r1;\n"
	     "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r2; call (b), ask, (a);\n"
	     "ld.param.b32 %r3, [b]; } shl.b32 %r9, %r9, 1; or.b32 %r9, %r9, %r3;\n"
	     "add.u32 %r1, %r1, 1; setp.lt.u32 %p1, %r1, 3; @%p1 bra loop;\n" END,
	     40, out);
	for (uint32_t i = 0; i < 40; i++)
		ck_assert_uint_eq(out[i], i % 2 ? 2 : 5);
}
TEST_END

/* A pointer to a variable of an outer activation stays good in the inner ones. */
TEST(frames)
{
	uint32_t out[32];
	must(PTX_HEAD
	     ".func fill(.param .b32 depth, .param .b64 outer)\n{\n"
	     ".reg .b32 %r<6>; .reg .b64 %d<6>; .reg .pred %p; .local .align 8 .b8 mine[8];\n"
	     "ld.param.u32 %r0, [depth]; ld.param.u64 %d0, [outer];\n"
	     "mov.u64 %d1, mine; cvta.local.u64 %d2, %d1; st.local.u32 [mine], %r0;\n"
	     "ld.u32 %r1, [%d0]; add.u32 %r1, %r1, %r0; st.u32 [%d0], %r1;\n"
	     "setp.eq.u32 %p, %r0, 0; @%p bra out; sub.u32 %r2, %r0, 1;\n"
	     "{ .param .b32 a; .param .b64 b; st.param.b32 [a], %r2; st.param.b64 [b], %d2;\n"
	     "call fill, (a, b); }\n"
	     /* the inner one has added its depth to `mine` */
	     "ld.local.u32 %r3, [%d1]; add.u32 %r4, %r0, %r2; setp.ne.u32 %p, %r3, %r4;\n"
	     "@%p st.u32 [%d0], -1; out: ret; }\n" KERNEL
	     ".local .b32 first; st.local.u32 [first], 1000; mov.u64 %rd2, first;\n"
	     "cvta.local.u64 %rd2, %rd2; and.b32 %r1, %r0, 7;\n"
	     "{ .param .b32 a; .param .b64 b; st.param.b32 [a], %r1; st.param.b64 [b], %rd2;\n"
	     "call fill, (a, b); } ld.local.u32 %r9, [first];\n" END,
	     32, out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], 1000 + i % 8);
}
TEST_END

/* Pointers out of a table that is initialised, and by mov; different functions in one warp. */
#define TWO                                                                                        \
	".func (.param .b32 r) plus(.param .b32 a, .param .b64 b)\n{ .reg .b32 %r<3>; .reg .b64 "  \
	"%d;\nld.param.u32 %r0, [a]; ld.param.u64 %d, [b]; cvt.u32.u64 %r1, %d;\n"                 \
	"add.u32 %r0, %r0, %r1; st.param.b32 [r], %r0; ret; }\n"                                   \
	".func (.param .b32 r) times(.param .b32 a, .param .b64 b)\n{ .reg .b32 %r<3>; .reg .b64 " \
	"%d;\nld.param.u32 %r0, [a]; ld.param.u64 %d, [b]; cvt.u32.u64 %r1, %d;\n"                 \
	"mul.lo.u32 %r0, %r0, %r1; st.param.b32 [r], %r0; ret; }\n"                                \
	".func (.param .b64 r) other(.param .b32 a, .param .b64 b)\n{ ret; }\n"                    \
	".global .align 8 .u64 table[2] = {plus, times};\n"
#define INDIRECT                                                                                   \
	"{ .param .b32 a; .param .b64 b; .param .b32 c; st.param.b32 [a], %r0;\n"                  \
	"st.param.b64 [b], 7; proto: .callprototype (.param .b32 _) _ (.param .b32 _, .param "     \
	".b64 _);\ncall (c), %rd3, (a, b), proto; ld.param.b32 %r9, [c]; }\n"

TEST(pointers)
{
	uint32_t out[32];
	struct ptx_error e;
	must(PTX_HEAD TWO KERNEL
	     "and.b32 %r1, %r0, 1; mov.u64 %rd2, table;\n"
	     "mad.wide.u32 %rd2, %r1, 8, %rd2; ld.global.u64 %rd3, [%rd2];\n"
	     "setp.lt.u32 %p1, %r0, 8; @%p1 mov.u64 %rd3, times;\n" INDIRECT END,
	     32, out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], i < 8 || i & 1 ? i * 7 : i + 7);
	ck_assert_int_eq(run(PTX_HEAD TWO KERNEL "mov.u64 %rd3, other;\n" INDIRECT END, 1, out, &e),
	                 PTX_TRAP);
	ck_assert_ptr_nonnull(strstr(e.text, "other parameters"));
	ck_assert_int_eq(run(PTX_HEAD TWO KERNEL "mov.u64 %rd3, 0;\n" INDIRECT END, 1, out, &e),
	                 PTX_ILLEGAL_ADDRESS);
	ck_assert_ptr_nonnull(strstr(e.text, "no function of this module"));
}
TEST_END

/* A pointer may be kept in memory by one kernel and used by another one. */
TEST(pointer_between_kernels)
{
	struct ptx_module *m =
	    load_ptx(PTX_HEAD TWO ".visible .entry give(.param .u64 p)\n{ .reg .b64 %d<2>;\n"
	                          "ld.param.u64 %d0, [p]; mov.u64 %d1, times;\n"
	                          "st.global.u64 [%d0+128], %d1; ret; }\n" KERNEL
	                          "ld.global.u64 %rd3, [%rd0+128];\n" INDIRECT END);
	uint32_t *buf = device_alloc(NULL, 256, 64);
	must_run(m, "give", (struct shape){.gx = 1, .bx = 1}, &buf);
	must_run(m, "k", (struct shape){.gx = 1, .bx = 32}, &buf);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(buf[i], i * 7);
	device_free(NULL, buf);
	ptx_module_free(m);
}
TEST_END

/* Lanes that call are at other places than those that do not: shuffles wait, exits do not hurt. */
TEST(divergence)
{
	uint32_t out[32];
	must(PTX_HEAD ".func (.param .b32 r) f(.param .b32 n)\n{ .reg .b32 %r<4>; .reg .pred %p;\n"
	              "ld.param.u32 %r0, [n]; setp.eq.u32 %p, %r0, 5; @%p exit;\n"
	              "setp.eq.u32 %p, %r0, 0; @%p bra out; sub.u32 %r1, %r0, 1;\n"
	              "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call (b), f, (a);\n"
	              "ld.param.b32 %r2, [b]; } out: st.param.b32 [r], %r0; ret; }\n" KERNEL
	              "and.b32 %r1, %r0, 7; setp.lt.u32 %p1, %r1, 5; mov.u32 %r9, 100;\n"
	              "setp.eq.u32 %p2, %r0, 30; selp.b32 %r1, 9, %r1, %p2; @%p2 bra go;\n"
	              "@!%p1 bra join; go: { .param .b32 a; .param .b32 b; st.param.b32 [a], %r1;\n"
	              "call (b), f, (a); ld.param.b32 %r9, [b]; }\n"
	              "join: shfl.sync.bfly.b32 %r9, %r9, 1, 31, -1;\n" END,
	     32, out);
	/* lane 30 has left in the fifth activation of f, and stores nothing */
	for (uint32_t i = 0; i < 30; i++)
		ck_assert_uint_eq(out[i], (i ^ 1) % 8 < 5 ? (i ^ 1) % 8 : 100);
	ck_assert_uint_eq(out[30], 0);
}
TEST_END

TEST(stack)
{
	uint32_t out[32];
	struct ptx_error e;
	/* alloca: as much as a lane asks for, given back when the function returns */
	must(PTX_HEAD
	     ".func (.param .b32 r) sum(.param .b32 n)\n{\n"
	     ".reg .b32 %r<6>; .reg .b64 %d<6>; .reg .pred %p;\n"
	     "ld.param.u32 %r0, [n]; mul.wide.u32 %d0, %r0, 4; alloca.u64 %d1, %d0, 16;\n"
	     "mov.u32 %r1, 0; mov.u32 %r3, 0; fill: setp.ge.u32 %p, %r1, %r0; @%p bra add;\n"
	     "mad.wide.u32 %d2, %r1, 4, %d1; st.local.u32 [%d2], %r1; add.u32 %r1, %r1, 1;\n"
	     "bra fill; add: setp.eq.u32 %p, %r1, 0; @%p bra out; sub.u32 %r1, %r1, 1;\n"
	     "mad.wide.u32 %d2, %r1, 4, %d1; ld.local.u32 %r2, [%d2]; add.u32 %r3, %r3, %r2;\n"
	     "bra add; out: st.param.b32 [r], %r3; ret; }\n" KERNEL
	     "mov.u32 %r9, 0; mov.u32 %r1, 0; shl.b32 %r2, %r0, 6; loop:\n"
	     "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r2; call (b), sum, (a);\n"
	     "ld.param.b32 %r3, [b]; } add.u32 %r9, %r9, %r3; add.u32 %r1, %r1, 1;\n"
	     "setp.lt.u32 %p1, %r1, 20; @%p1 bra loop;\n" END,
	     32, out);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(out[i], i ? 20 * (64 * i * (64 * i - 1) / 2) : 0);
	must(PTX_HEAD KERNEL
	     "stacksave.u64 %rd2; alloca.u64 %rd3, 100; stackrestore.u64 %rd2;\n"
	     "alloca.u64 %rd4, 100; sub.u64 %rd5, %rd4, %rd3; cvt.u32.u64 %r9, %rd5;"
	     "\n" END,
	     1, out);
	ck_assert_uint_eq(out[0], 0);
	ck_assert_int_eq(run(PTX_HEAD KERNEL "alloca.u64 %rd3, 1000000;\n" END, 1, out, &e),
	                 PTX_ILLEGAL_ADDRESS);
	ck_assert_ptr_nonnull(strstr(e.text, "stack overflow"));
	/* recursion without end, without a frame and with one */
	ck_assert_int_eq(
	    run(PTX_HEAD ".func f()\n{ call f; ret; }\n" KERNEL "call f;\n" END, 32, out, &e),
	    PTX_ILLEGAL_ADDRESS);
	ck_assert_ptr_nonnull(strstr(e.text, "stack overflow"));
	ck_assert_int_eq(run(PTX_HEAD ".func f()\n{ .local .b8 x[999]; call f; ret; }\n" KERNEL
	                              "call f;\n" END,
	                     1, out, &e),
	                 PTX_ILLEGAL_ADDRESS);
}
TEST_END

/* Functions that call two others each: inlined they would be 2^40 bodies. */
TEST(many_calls)
{
	static char text[20000];
	uint32_t out[1];
	int n = snprintf(text, sizeof(text),
	                 PTX_HEAD ".func (.param .b32 r) f0(.param .b32 n)\n{ .reg .b32 %%r<2>;\n"
	                          "ld.param.u32 %%r0, [n]; add.u32 %%r0, %%r0, 1;\n"
	                          "st.param.b32 [r], %%r0; ret; }\n");
	for (int i = 1; i < 40; i++)
		n +=
		    snprintf(text + n, sizeof(text) - (size_t)n,
		             ".func (.param .b32 r) f%d(.param .b32 n)\n{ .reg .b32 %%r<3>; .reg "
		             ".pred %%p; ld.param.u32 %%r0, [n]; { .param .b32 a; .param .b32 b;\n"
		             "st.param.b32 [a], %%r0; setp.eq.u32 %%p, %%r0, 12345;\n"
		             "@%%p call (b), f%d, (a); call (b), f%d, (a); ld.param.b32 %%r1, [b]; "
		             "}\nst.param.b32 [r], %%r1; ret; }\n",
		             i, i - 1, i - 1);
	snprintf(text + n, sizeof(text) - (size_t)n, "%s",
	         KERNEL "{ .param .b32 a; .param .b32 b; st.param.b32 [a], 4;\n"
	                "call (b), f39, (a); ld.param.b32 %r9, [b]; }\n" END);
	must(text, 1, out);
	ck_assert_uint_eq(out[0], 5);
}
TEST_END

TESTS("ptx_calls", recursion, mutual_recursion, frames, pointers, pointer_between_kernels,
      divergence, stack, many_calls)
