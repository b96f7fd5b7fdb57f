// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_async.c: mbarrier objects, cp.async, atomics on vectors, special registers that programs
 * read without a use for them, constant banks, printf's narrow conversions.
 */
#include <unistd.h>

#include "tests/unit/ptx_util.h"

#define KERNEL                                                                                     \
	PTX_HEAD ".visible .entry k(.param .u64 p)\n{\n"                                           \
		 ".reg .b64 %rd<9>; .reg .b32 %r<20>; .reg .pred %p<9>; .reg .f32 %f<20>;\n"       \
		 "ld.param.u64 %rd0, [p]; mov.u32 %r0, %tid.x; mul.wide.u32 %rd1, %r0, 4;\n"       \
		 "add.u64 %rd1, %rd0, %rd1;\n"
#define END "st.global.u32 [%rd1], %r9; ret;\n}\n"

static enum ptx_status run(const char *text, uint32_t threads, uint32_t *buf, struct ptx_error *e)
{
	struct ptx_module *m = load_ptx(text);
	enum ptx_status s = run_ptx(m, "k", (struct shape){.gx = 1, .bx = threads}, &buf, NULL, e);
	ptx_module_free(m);
	return s;
}

static void must(const char *text, uint32_t threads, uint32_t *buf)
{
	struct ptx_error e;
	enum ptx_status s = run(text, threads, buf, &e);
	ck_assert_msg(s == PTX_OK, "status %d, line %d: %s", s, e.line, e.text);
}

#define BAR ".shared .align 8 .b64 bar; .shared .b32 s[128]; mov.u32 %r1, bar;\n"
#define INIT(n)                                                                                    \
	BAR "setp.ne.u32 %p0, %r0, 0; @!%p0 mbarrier.init.shared.b64 [%r1], " n "; bar.sync 0;\n"

TEST(mbarrier)
{
	uint32_t *buf = device_alloc(NULL, 1024, 64);
	struct ptx_error e;
	/* three phases, waited for by state and by parity: a neighbour's value each time */
	must(KERNEL INIT(
		 "96") "mov.u32 %r9, %r0; mov.u32 %r2, 0; mov.u32 %r3, s; mad.lo.u32 %r4, %r0, 4, "
	               "%r3;\n"
	               "add.u32 %r5, %r0, 33; rem.u32 %r5, %r5, 96; mad.lo.u32 %r5, %r5, 4, %r3;\n"
	               "again: st.shared.u32 [%r4], %r9; "
	               "mbarrier.arrive.release.cta.shared::cta.b64 %rd2, "
	               "[%r1];\n"
	               "wait: mbarrier.try_wait.shared.b64 %p1, [%r1], %rd2; @!%p1 bra wait;\n"
	               "ld.shared.u32 %r9, [%r5]; mbarrier.arrive.shared.b64 _, [%r1];\n"
	               "and.b32 %r6, %r2, 0; add.u32 %r6, %r6, 1;\n"
	               "even: mbarrier.test_wait.parity.acquire.cta.shared.b64 %p1, [%r1], %r6; "
	               "@!%p1 bra even;\n"
	               "add.u32 %r2, %r2, 1; setp.lt.u32 %p2, %r2, 3; @%p2 bra again;\n" END,
	     96, buf);
	for (uint32_t i = 0; i < 96; i++)
		ck_assert_uint_eq(buf[i], (i + 99) % 96);
	/* a count, one that drops out, bytes that are announced, what is pending */
	must(
	    KERNEL BAR
	    "mov.u32 %r9, 0; mbarrier.init.shared.b64 [bar], 3; mbarrier.arrive.shared.b64 %rd2, "
	    "[bar], 2;\nmbarrier.pending_count.b64 %r9, %rd2;\n"
	    "mbarrier.arrive_drop.shared.b64 %rd3, [bar]; mbarrier.pending_count.b64 %r2, %rd3;\n"
	    "mad.lo.u32 %r9, %r9, 10, %r2; mbarrier.test_wait.shared.b64 %p1, [bar], %rd3;\n"
	    "selp.u32 %r2, 1, 0, %p1; mad.lo.u32 %r9, %r9, 10, %r2;\n"
	    "mbarrier.arrive.expect_tx.shared.b64 %rd2, [bar], 64; mbarrier.pending_count.b64 %r2, "
	    "%rd2;\nmad.lo.u32 %r9, %r9, 10, %r2; mbarrier.arrive.shared.b64 %rd2, [bar];\n"
	    "mbarrier.test_wait.shared.b64 %p1, [bar], %rd2; selp.u32 %r2, 1, 0, %p1;\n"
	    "mad.lo.u32 %r9, %r9, 10, %r2; mbarrier.complete_tx.shared.b64 [bar], 64;\n"
	    "mbarrier.test_wait.shared.b64 %p1, [bar], %rd2; selp.u32 %r2, 1, 0, %p1;\n"
	    "mad.lo.u32 %r9, %r9, 10, %r2; mbarrier.inval.shared.b64 [bar];\n" END,
	    1, buf);
	ck_assert_uint_eq(buf[0], 311201);
	ck_assert_int_eq(
	    run(KERNEL INIT("1") "mov.u32 %r9, 0; mbarrier.arrive.shared.b64 _, [bar], 2;\n" END, 1,
	        buf, &e),
	    PTX_BARRIER);
	ck_assert_ptr_nonnull(strstr(e.text, "more arrivals"));
	ck_assert_int_eq(
	    run(KERNEL BAR "mov.u32 %r9, 0; mbarrier.init.shared.b64 [bar], 0;\n" END, 1, buf, &e),
	    PTX_BARRIER);
	ck_assert_int_eq(
	    run(KERNEL "mov.u32 %r9, 0; mbarrier.init.b64 [%rd0], 1;\n" END, 1, buf, &e),
	    PTX_ILLEGAL_ADDRESS);
	device_free(NULL, buf);
}
TEST_END

/* Seven warps wait for one that works for 20,000 turns: `wait` does it, turn by turn. */
static uint64_t instructions_waiting(const char *wait)
{
	char text[4000];
	uint32_t *buf = device_alloc(NULL, 1024, 64);
	struct ptx_error e;
	struct ptx_result r;
	snprintf(text, sizeof(text), "%s%s%s",
	         KERNEL INIT("32") "setp.ge.u32 %p1, %r0, 32; mov.u32 %r2, 0; @%p1 bra wait;\n"
	                           "work: add.u32 %r2, %r2, 1; setp.lt.u32 %p2, %r2, 20000; "
	                           "@%p2 bra work; st.volatile.shared.u32 [s], 1;\n"
	                           "mbarrier.arrive.shared.b64 _, [%r1];\nwait: ",
	         wait, " @!%p3 bra wait; mov.u32 %r9, 5;\n" END);
	struct ptx_module *m = load_ptx(text);
	ck_assert_int_eq(run_ptx(m, "k", (struct shape){.gx = 1, .bx = 256}, &buf, &r, &e), PTX_OK);
	for (uint32_t i = 0; i < 256; i++)
		ck_assert_uint_eq(buf[i], 5);
	ptx_module_free(m);
	device_free(NULL, buf);
	return r.warp_instructions;
}

/* Who waits, and can be known to, leaves the host's time to who works. */
TEST(waits)
{
	uint64_t works = 3 * 20000;
	ck_assert_uint_lt(
	    instructions_waiting("mbarrier.try_wait.parity.shared.b64 %p3, [%r1], 0;"),
	    works + 5000);
	ck_assert_uint_lt(
	    instructions_waiting("mbarrier.test_wait.parity.shared.b64 %p3, [%r1], 0;"),
	    works + 5000);
	ck_assert_uint_lt(instructions_waiting("mov.u64 %rd2, %globaltimer; ld.volatile.shared.u32 "
	                                       "%r3, [s]; setp.ne.u32 %p3, %r3, 0;"),
	                  works + 20000);
}
TEST_END

TEST(copies)
{
	uint32_t *buf = device_alloc(NULL, 4096, 64);
	struct ptx_error e;
	for (uint32_t i = 0; i < 256; i++)
		buf[256 + i] = i * 3 + 1;
	/* 16 bytes a lane; then with fewer bytes of the source, and with a predicate */
	must(KERNEL
	     ".shared .align 16 .b32 s[256]; mul.lo.u32 %r1, %r0, 16; mov.u32 %r2, s;\n"
	     "add.u32 %r2, %r2, %r1; mul.wide.u32 %rd2, %r0, 16; add.u64 %rd2, %rd0, %rd2;\n"
	     "cp.async.cg.shared.global [%r2], [%rd2+1024], 16; cp.async.commit_group;\n"
	     "cp.async.wait_group 0; bar.sync 0; ld.shared.u32 %r9, [%r2+8];\n"
	     "and.b32 %r3, %r0, 3; mul.lo.u32 %r4, %r3, 5;\n"
	     "cp.async.ca.shared.global.L2::128B [%r2], [%rd2+1024], 16, %r4;\n"
	     "cp.async.wait_all; ld.shared.u32 %r5, [%r2+4]; mad.lo.u32 %r9, %r9, 10000, %r5;\n"
	     "setp.eq.u32 %p1, %r3, 2; cp.async.ca.shared.global [%r2], [%rd2+1024], 4, %p1;\n"
	     "ld.shared.u32 %r5, [%r2]; mad.lo.u32 %r9, %r9, 1000, %r5;\n" END,
	     64, buf);
	for (uint32_t i = 0; i < 64; i++) {
		uint32_t w[4] = {0}, n = i % 4 * 5;
		memcpy(w, &buf[256 + 4 * i], n);
		uint32_t want = (((4 * i + 2) * 3 + 1) * 10000 + w[1]) * 1000;
		ck_assert_uint_eq(buf[i], want + (i % 4 == 2 ? 0 : 4 * i * 3 + 1));
	}
	/* what arrives when the copies are there */
	must(KERNEL INIT(
		 "64") "cp.async.ca.shared.global [s], [%rd0+1024], 4;\n"
	               "cp.async.mbarrier.arrive.shared.b64 [bar];\n"
	               "cp.async.mbarrier.arrive.noinc.shared.b64 [bar];\n"
	               "mov.u32 %r9, 7; wait: mbarrier.test_wait.parity.shared.b64 %p1, [bar], "
	               "0; @!%p1 bra wait;\n" END,
	     64, buf);
	ck_assert_uint_eq(buf[63], 7);
	ck_assert_int_eq(run(KERNEL ".shared .align 16 .b32 s[4]; mov.u32 %r9, 0;\n"
	                            "cp.async.cg.shared.global [s], [%rd0+4], 16;\n" END,
	                     1, buf, &e),
	                 PTX_MISALIGNED);
	ck_assert_int_eq(run(KERNEL ".shared .align 16 .b32 s[4]; mov.u32 %r9, 0;\n"
	                            "cp.async.cg.shared.global [s], [%rd0+8192], 16;\n" END,
	                     1, buf, &e),
	                 PTX_ILLEGAL_ADDRESS);
	/* of what lies outside nothing is read */
	must(
	    KERNEL
	    ".shared .align 16 .b32 s[4]; mov.u32 %r2, 0;\n"
	    "cp.async.cg.shared.global [s], [%rd0+8192], 16, %r2; ld.shared.u32 %r9, [s+12];\n" END,
	    1, buf);
	ck_assert_uint_eq(buf[0], 0);
	device_free(NULL, buf);
}
TEST_END

TEST(vector_atomics)
{
	uint32_t *buf = device_alloc(NULL, 1024, 64);
	float f[8];
	uint16_t h[4];
	ck_assert_ptr_nonnull(buf);
	must(KERNEL
	     "cvt.rn.f32.u32 %f0, %r0; mov.f32 %f1, 0f3F800000; mov.f32 %f2, 0fC0000000;\n"
	     "atom.global.add.v4.f32 {%f4, %f5, %f6, %f7}, [%rd0+512], {%f0, %f1, %f2, %f1};\n"
	     "red.global.add.v2.f32 [%rd0+528], {%f1, %f0}; mov.u32 %r9, 1;\n"
	     "{ .reg .b16 a, b; cvt.rn.f16.f32 a, %f0; cvt.rn.f16.f32 b, %f1;\n"
	     "red.global.max.noftz.v2.f16 [%rd0+544], {a, b};\n"
	     "red.global.min.noftz.v2.f16 [%rd0+548], {a, b}; }\n" END,
	     64, buf);
	memcpy(f, buf + 128, sizeof(f));
	memcpy(h, buf + 136, sizeof(h));
	ck_assert(f[0] == 63 * 32 && f[1] == 64 && f[2] == -128 && f[3] == 64);
	ck_assert(f[4] == 64 && f[5] == 63 * 32);
	ck_assert(h[0] == 0x53e0 && h[1] == 0x3c00 && h[2] == 0 && h[3] == 0);
	device_free(NULL, buf);
}
TEST_END

TEST(registers_and_banks)
{
	uint32_t *buf = device_alloc(NULL, 1024, 64);
	must(PTX_HEAD ".const[2] .align 4 .b32 bank[2] = {5, 6};\n"
	              ".visible .entry k(.param .u64 p)\n{\n.reg .b64 %rd<9>; .reg .b32 %r<20>;\n"
	              ".shared .b32 s[8]; ld.param.u64 %rd0, [p]; mov.u32 %r0, %aggr_smem_size;\n"
	              "mov.u32 %r1, %reserved_smem_offset_begin; add.u32 %r0, %r0, %r1;\n"
	              "mov.u32 %r1, %reserved_smem_offset_1; add.u32 %r0, %r0, %r1;\n"
	              "mov.u32 %r1, %envreg7; add.u32 %r0, %r0, %r1;\n"
	              "mov.u64 %rd2, %current_graph_exec; cvt.u32.u64 %r1, %rd2; add.u32 %r0, %r0, "
	              "%r1;\nld.const[2].b32 %r2, [bank+4]; st.shared.u32 [s], %r2;\n"
	              "mov.u32 %r3, %clock; mov.u64 %rd3, %clock64; mov.u32 %r4, %nsmid;\n"
	              "st.global.v4.u32 [%rd0], {%r0, %r2, %r4, 0}; ret;\n}\n",
	     1, buf);
	ck_assert_uint_eq(buf[0], (32 + 1024) + 32 + (32 + 512));
	ck_assert_uint_eq(buf[1], 6);
	ck_assert_uint_eq(buf[2], 4);
	device_free(NULL, buf);
}
TEST_END

/* What CUDA reserves is apart from the kernel's own shared memory; cooperative groups use it. */
TEST(reserved_shared_memory)
{
	uint32_t *buf = device_alloc(NULL, 1024, 64);
	must(PTX_HEAD ".visible .entry k(.param .u64 p)\n{\n.reg .b64 %rd<9>; .reg .b32 %r<20>;\n"
	              ".reg .pred %p; .shared .b32 s[9]; ld.param.u64 %rd0, [p];\n"
	              "st.shared.u32 [s], 77; st.shared.u32 [s+32], 78;\n"
	              "mov.u32 %r0, %reserved_smem_offset_1; cvt.u64.u32 %rd1, %r0;\n"
	              "cvta.shared.u64 %rd2, %rd1; add.u64 %rd3, %rd2, 288;\n"
	              "L: st.u32 [%rd2], 5; add.u64 %rd2, %rd2, 4; setp.lt.u64 %p, %rd2, %rd3;\n"
	              "@%p bra L; ld.shared.u32 %r1, [s]; ld.shared.u32 %r2, [s+32];\n"
	              "mov.u32 %r3, %total_smem_size; mov.u32 %r4, %reserved_smem_offset_cap;\n"
	              "st.global.v4.u32 [%rd0], {%r1, %r2, %r3, %r4}; ret;\n}\n",
	     1, buf);
	ck_assert_uint_eq(buf[0], 77);
	ck_assert_uint_eq(buf[1], 78);
	ck_assert_uint_eq(buf[2], 48);
	ck_assert_uint_eq(buf[3], 1024);
	device_free(NULL, buf);
}
TEST_END

TEST(narrow_printf)
{
	struct ptx_module *m = load_ptx(
	    PTX_HEAD
	    ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
	    /* "%hd %hhd %hhu %hx %d\n" */
	    ".global .align 1 .b8 fmt[24] = {37, 104, 100, 32, 37, 104, 104, 100, 32, 37, 104, "
	    "104, "
	    "117, 32, 37, 104, 120, 32, 37, 100, 10, 0};\n"
	    ".visible .entry k(.param .u64 p)\n{\n.reg .b64 %rd<9>; .reg .b32 %r<9>;\n"
	    ".local .align 8 .b8 args[24]; mov.u64 %rd1, args; cvta.local.u64 %rd2, %rd1;\n"
	    "mov.u32 %r0, 0xfffe8001; st.local.u32 [args], %r0; st.local.u32 [args+4], %r0;\n"
	    "st.local.u32 [args+8], -1; st.local.u32 [args+12], %r0; st.local.u32 [args+16], -5;\n"
	    "mov.u64 %rd4, fmt; { .param .b64 f; .param .b64 a; .param .b32 r;\n"
	    "st.param.b64 [f], %rd4; st.param.b64 [a], %rd2; call (r), vprintf, (f, a); } "
	    "ret;\n}\n");
	uint64_t p = 0;
	char text[64] = "";
	FILE *file = tmpfile();
	ck_assert_ptr_nonnull(file);
	fflush(stdout);
	int saved = dup(1);
	dup2(fileno(file), 1);
	must_run(m, "k", (struct shape){.gx = 1, .bx = 1}, &p);
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	rewind(file);
	ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, file), 0);
	fclose(file);
	ck_assert_str_eq(text, "-32767 1 255 8001 -5\n");
	ptx_module_free(m);
}
TEST_END

TESTS("ptx_async", mbarrier, waits, copies, vector_atomics, registers_and_banks,
      reserved_shared_memory, narrow_printf)
