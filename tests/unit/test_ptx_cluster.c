// SPDX-License-Identifier: Apache-2.0
/*
 * test_ptx_cluster.c: clusters of blocks: their special registers, their barrier, each other's
 * shared memory, barriers there; bulk copies, which tell an mbarrier.
 */
#include "tests/unit/ptx_util.h"

#define KERNEL(limits, body)                                                                       \
	".version 8.7\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 p) " limits  \
	"\n{\n.reg .b64 %rd<9>; .reg .b32 %r<30>; .reg .b16 %h<4>; .reg .pred %p<9>;\n"            \
	".shared .align 128 .b8 s[1024]; .shared .align 8 .b64 bar;\n"                             \
	"ld.param.u64 %rd0, [p]; mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x;\n"                    \
	"mov.u32 %r2, %ntid.x; mad.lo.u32 %r3, %r1, %r2, %r0; mul.wide.u32 %rd1, %r3, 4;\n"        \
	"add.u64 %rd1, %rd0, %rd1; mov.u32 %r4, %cluster_ctarank; mov.u32 %r5, s;\n"               \
	"mad.lo.u32 %r6, %r0, 4, %r5;\n" body "\nret;\n}\n"
#define SYNC "barrier.cluster.arrive.release; barrier.cluster.wait.acquire;\n"

struct launch {
	uint32_t grid[3], threads, cluster[3], workers;
};

static enum ptx_status run(const char *text, struct launch l, void *buf, struct ptx_error *e)
{
	struct ptx_module *m = load_ptx(text);
	struct ptx_result r;
	struct ptx_launch launch = {
	    .grid = {l.grid[0], l.grid[1] ? l.grid[1] : 1, l.grid[2] ? l.grid[2] : 1},
	    .block = {l.threads, 1, 1},
	    .cluster = {l.cluster[0], l.cluster[1], l.cluster[2]},
	    .params = &buf,
	    .n_sms = 4,
	    .max_workers = l.workers ? l.workers : 1};
	enum ptx_status s = ptx_run(ptx_kernel_find(m, "k"), &launch, &device, &r, e);
	ptx_module_free(m);
	return s;
}

static void must(const char *text, struct launch l, void *buf)
{
	struct ptx_error e;
	enum ptx_status s = run(text, l, buf, &e);
	ck_assert_msg(s == PTX_OK, "status %d, line %d: %s", s, e.line, e.text);
}

TEST(registers)
{
	uint32_t *buf = device_alloc(NULL, 4096, 64);
	static const char text[] = KERNEL(
	    "",
	    "mov.u32 %r7, %ctaid.y; mov.u32 %r8, %ctaid.z; mad.lo.u32 %r8, %r8, 4, %r7;\n"
	    "mad.lo.u32 %r8, %r8, 4, %r1; mul.wide.u32 %rd1, %r8, 32; add.u64 %rd1, %rd0, %rd1;\n"
	    "mov.u32 %r9, %clusterid.x; mov.u32 %r10, %clusterid.y; mov.u32 %r11, %clusterid.z;\n"
	    "mad.lo.u32 %r10, %r10, 10, %r9; mad.lo.u32 %r11, %r11, 100, %r10;\n"
	    "st.global.u32 [%rd1], %r11; mov.u32 %r9, %cluster_ctaid.x; mov.u32 %r10, "
	    "%cluster_ctaid.y;\nmov.u32 %r11, %cluster_ctaid.z; mad.lo.u32 %r10, %r10, 10, %r9;\n"
	    "mad.lo.u32 %r11, %r11, 100, %r10; st.global.u32 [%rd1+4], %r11;\n"
	    "st.global.u32 [%rd1+8], %r4; mov.u32 %r9, %cluster_nctarank; st.global.u32 [%rd1+12], "
	    "%r9;\nmov.u32 %r9, %nclusterid.x; mov.u32 %r10, %cluster_nctaid.y;\n"
	    "mad.lo.u32 %r9, %r9, 10, %r10; mov.pred %p1, %is_explicit_cluster;\n"
	    "@%p1 add.u32 %r9, %r9, 1000; st.global.u32 [%rd1+16], %r9;");
	must(text, (struct launch){{4, 4, 2}, 1, {2, 1, 2}, 1}, buf);
	for (uint32_t x = 0; x < 4; x++)
		for (uint32_t y = 0; y < 4; y++)
			for (uint32_t z = 0; z < 2; z++) {
				const uint32_t *at = &buf[((z * 4 + y) * 4 + x) * 8];
				ck_assert_uint_eq(at[0], x / 2 + y * 10);
				ck_assert_uint_eq(at[1], x % 2 + z * 100);
				ck_assert_uint_eq(at[2], x % 2 + z * 2);
				ck_assert_uint_eq(at[3], 4);
				ck_assert_uint_eq(at[4], 1021);
			}
	must(text, (struct launch){{4, 4, 2}, 1, {0}, 1}, buf);
	ck_assert_uint_eq(buf[3], 1);
	ck_assert_uint_eq(buf[4], 41);
	device_free(NULL, buf);
}
TEST_END

/* Each thread reads its neighbour block's value, adds to that block's word, and looks again. */
TEST(shared_memory_of_others)
{
	uint32_t *buf = device_alloc(NULL, 65536, 64);
	static const char text[] = KERNEL(
	    ".explicitcluster .reqnctapercluster 4, 1, 1",
	    "mul.lo.u32 %r7, %r3, 3; st.shared.u32 [%r6], %r7; st.shared.u32 [%r6+512], 0;\n" SYNC
	    "add.u32 %r8, %r4, 1; and.b32 %r8, %r8, 3;\n"
	    "mapa.shared::cluster.u32 %r9, %r6, %r8; ld.shared::cluster.u32 %r10, [%r9];\n"
	    "mov.u64 %rd2, s; cvta.shared.u64 %rd2, %rd2; mapa.u64 %rd3, %rd2, %r8;\n"
	    "getctarank.u64 %r11, %rd3; getctarank.shared::cluster.u32 %r12, %r6;\n"
	    "isspacep.shared::cluster %p1, %rd3; isspacep.shared::cta %p2, %rd3;\n"
	    "isspacep.shared %p3, %rd2; selp.u32 %r13, 1, 0, %p1; @%p2 add.u32 %r13, %r13, 2;\n"
	    "@%p3 add.u32 %r13, %r13, 4; mul.wide.u32 %rd4, %r0, 4; add.u64 %rd3, %rd3, %rd4;\n"
	    "atom.add.u32 %r14, [%rd3+512], %r0; red.shared::cluster.add.u32 [%r9+512], "
	    "1000;\n" SYNC "ld.shared.u32 %r15, [%r6+512]; add.u32 %r10, %r10, %r15;\n"
	    "mad.lo.u32 %r11, %r11, 10, %r12; mad.lo.u32 %r13, %r13, 100, %r11;\n"
	    "mad.lo.u32 %r10, %r10, 1000, %r13; st.global.u32 [%rd1], %r10;");
	for (uint32_t workers = 1; workers <= 3; workers += 2) {
		must(text, (struct launch){{64}, 64, {0}, workers}, buf);
		for (uint32_t i = 0; i < 64 * 64; i++) {
			uint32_t rank = i / 64 % 4, next = (rank + 1) % 4, t = i % 64;
			uint32_t value = (i - rank * 64 + next * 64) * 3 + t + 1000;
			ck_assert_uint_eq(buf[i], value * 1000 + 500 + next * 10 + rank);
		}
	}
	device_free(NULL, buf);
}
TEST_END

/* Threads that have exited count as arrived; warps that arrive early do other things; one block is
 * late. */
TEST(barrier)
{
	uint32_t *buf = device_alloc(NULL, 4096, 64);
	struct ptx_error e;
	must(KERNEL("", "setp.ge.u32 %p1, %r0, 40; @%p1 ret; setp.lt.u32 %p2, %r0, 8;\n"
	                "setp.eq.u32 %p3, %r4, 1; mov.u32 %r20, 0; slow: add.u32 %r20, %r20, 1;\n"
	                "setp.lt.and.u32 %p4, %r20, 3000, %p3; @%p4 bra slow;\n"
	                "st.shared.u32 [%r6], %r3; @%p2 barrier.cluster.arrive.relaxed.aligned;\n"
	                "@!%p2 barrier.cluster.arrive; mov.u32 %r10, 5; barrier.cluster.wait;\n"
	                "xor.b32 %r8, %r4, 1; mapa.shared::cluster.u32 %r9, %r6, %r8;\n"
	                "ld.shared::cluster.u32 %r7, [%r9]; mad.lo.u32 %r7, %r7, 10, %r10;\n"
	                "st.global.u32 [%rd1], %r7; " SYNC),
	     (struct launch){{4}, 64, {2, 1, 1}, 1}, buf);
	for (uint32_t i = 0; i < 256; i++)
		ck_assert_uint_eq(buf[i], i % 64 < 40 ? (i ^ 64) * 10 + 5 : 0);
	/* one block of two never comes */
	ck_assert_int_eq(run(KERNEL("", "setp.eq.u32 %p1, %r4, 0; @%p1 bra no; " SYNC
	                                "bra out; no: bar.sync 0, 64; out:"),
	                     (struct launch){{2}, 32, {2, 1, 1}, 1}, buf, &e),
	                 PTX_BARRIER);
	ck_assert_int_eq(run(KERNEL("", "barrier.cluster.arrive;\nbarrier.cluster.arrive;\n"),
	                     (struct launch){{2}, 32, {2, 1, 1}, 1}, buf, &e),
	                 PTX_BARRIER);
	ck_assert_ptr_nonnull(strstr(e.text, "twice"));
	ck_assert_int_eq(run(KERNEL("", "mapa.shared::cluster.u32 %r9, %r6, 2;"),
	                     (struct launch){{2}, 32, {2, 1, 1}, 1}, buf, &e),
	                 PTX_ILLEGAL_ADDRESS);
	ck_assert_int_eq(run(KERNEL("", "mapa.shared::cluster.u32 %r9, %r6, 1;\n"
	                                "ld.shared::cluster.u32 %r9, [%r9+2048];"),
	                     (struct launch){{2}, 32, {2, 1, 1}, 1}, buf, &e),
	                 PTX_ILLEGAL_ADDRESS);
	ck_assert_int_eq(run(KERNEL("", ""), (struct launch){{3}, 32, {2, 1, 1}, 1}, buf, &e),
	                 PTX_BAD_LAUNCH);
	ck_assert_int_eq(run(KERNEL("", ""), (struct launch){{17}, 32, {17, 1, 1}, 1}, buf, &e),
	                 PTX_BAD_LAUNCH);
	device_free(NULL, buf);
}
TEST_END

#define WAIT(parity)                                                                               \
	"w" parity ": mbarrier.try_wait.parity.shared::cta.b64 %p4, [bar], " parity                \
	"; @!%p4 bra w" parity ";\n"

/* Out of global memory, through a barrier; doubled; back as a group, with a sum, bytes left out. */
TEST(bulk_copies)
{
	uint32_t *buf = device_alloc(NULL, 4096, 128);
	struct ptx_error e;
	static const char text[] = KERNEL(
	    "",
	    "setp.ne.u32 %p1, %r0, 0;\n"
	    "@!%p1 mbarrier.init.shared::cta.b64 [bar], 1;\n"
	    "@!%p1 fence.mbarrier_init.release.cluster; bar.sync 0; @%p1 bra wait;\n"
	    "mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], 256; mov.u32 %r7, 128;\n"
	    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r5], "
	    "[%rd0+1024], %r7, [bar];\n"
	    "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [s+128], "
	    "[%rd0+1152], 128, [bar];\n"
	    "wait: " WAIT(
		"0") "ld.shared.u32 %r8, [%r6]; add.u32 %r8, %r8, %r8;\n"
		     "st.shared.u32 [%r6+256], %r8; fence.proxy.async.shared::cta; bar.sync 0;\n"
		     "@%p1 ret; mov.b16 %h1, 0x0ff0;\n"
		     "cp.async.bulk.global.shared::cta.bulk_group [%rd0], [%r5+256], 256;\n"
		     "cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%rd0+2048], "
		     "[%r5+256], 128;\n"
		     "cp.reduce.async.bulk.global.shared::cta.bulk_group.max.s32 [%rd0+2176], "
		     "[%r5+256], 128;\n"
		     "cp.async.bulk.global.shared::cta.bulk_group.cp_mask [%rd0+3072], [s+256], "
		     "64, %h1;\n"
		     "cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0;");
	for (uint32_t i = 0; i < 64; i++) {
		buf[256 + i] = i * 7 + 1;
		buf[512 + i] = i % 2 ? 1000000 : 5;
		buf[768 + i] = 0xabababab;
	}
	must(text, (struct launch){{1}, 64, {0}, 1}, buf);
	for (uint32_t i = 0; i < 64; i++)
		ck_assert_uint_eq(buf[i], 2 * (i * 7 + 1));
	for (uint32_t i = 0; i < 32; i++) {
		uint32_t was = i % 2 ? 1000000 : 5;
		ck_assert_uint_eq(buf[512 + i], was + 2 * (i * 7 + 1));
		ck_assert_uint_eq(buf[544 + i], was > 2 * (i * 7 + 1) ? was : 2 * (i * 7 + 1));
	}
	for (uint32_t i = 0; i < 16; i++)
		ck_assert_uint_eq(buf[768 + i],
		                  i % 4 == 1 || i % 4 == 2 ? 2 * (i * 7 + 1) : 0xabababab);
	ck_assert_int_eq(
	    run(KERNEL("", "cp.async.bulk.global.shared::cta.bulk_group [%rd0], [%r5], 24;"),
	        (struct launch){{1}, 1, {0}, 1}, buf, &e),
	    PTX_MISALIGNED);
	ck_assert_int_eq(
	    run(KERNEL("", "cp.async.bulk.global.shared::cta.bulk_group [%rd0+4080], [%r5], 32;"),
	        (struct launch){{1}, 1, {0}, 1}, buf, &e),
	    PTX_ILLEGAL_ADDRESS);
	device_free(NULL, buf);
}
TEST_END

/* One block sends to all: a multicast, a copy between blocks, single stores and sums, each told to
 * the barrier of the block that gets it. */
TEST(across_the_cluster)
{
	uint32_t *buf = device_alloc(NULL, 4096, 128);
	static const char text[] = KERNEL(
	    "",
	    "setp.ne.u32 %p1, %r0, 0; setp.ne.u32 %p2, %r4, 0; st.shared.u32 [%r6+512], 100;\n"
	    "@%p1 bra ready; mbarrier.init.shared::cta.b64 [bar], 2;\n"
	    "mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], 84;\n"
	    "ready: " SYNC "@%p1 bra wait; @%p2 bra one; mov.b16 %h0, 6;\n"
	    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
	    "[%r5], [%rd0+1024], 64, [bar], %h0;\n"
	    "mov.u32 %r9, bar; mapa.shared::cluster.u32 %r10, %r9, 0;\n"
	    "mbarrier.arrive.expect_tx.release.cluster.shared::cluster.b64 _, [%r10], -0;\n"
	    "mapa.shared::cluster.u32 %r10, %r9, 1; mapa.shared::cluster.u32 %r11, %r5, 1;\n"
	    "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r10];\n"
	    "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.u32 [%r11+64], {1, 2, 3, 4}, "
	    "[%r10];\n"
	    "red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 "
	    "[%r11+512], 11, [%r10]; bra wait;\n"
	    "one: setp.ne.u32 %p3, %r4, 1; @%p3 bra wait; mov.u32 %r9, bar;\n"
	    "mov.u32 %r7, 77; st.shared.u32 [s+256], %r7; st.shared.u32 [s+260], %r7;\n"
	    "mapa.shared::cluster.u32 %r10, %r9, 2; mapa.shared::cluster.u32 %r11, %r5, 2;\n"
	    "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r10];\n"
	    "cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r11+64], "
	    "[s+256], 16, [%r10];\n"
	    "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%r11+80], 9, [%r10];\n"
	    "wait: setp.eq.u32 %p3, %r4, 0; @%p3 bra done;\n" WAIT(
		"0") "ld.shared.u32 %r8, [%r6]; st.global.u32 [%rd1+1024], %r8;\n"
		     "ld.shared.u32 %r8, [s+512]; setp.eq.u32 %p5, %r0, 31;\n"
		     "@%p5 st.global.u32 [%rd1+1024], %r8;\ndone: " SYNC);
	for (uint32_t i = 0; i < 16; i++)
		buf[256 + i] = i + 50;
	must(text, (struct launch){{3}, 32, {3, 1, 1}, 1}, buf);
	for (uint32_t i = 0; i < 16; i++) {
		ck_assert_uint_eq(buf[256 + 32 + i], i + 50);
		ck_assert_uint_eq(buf[256 + 64 + i], i + 50);
	}
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(buf[256 + 32 + 16 + i], i + 1);
	ck_assert_uint_eq(buf[256 + 32 + 31], 111);
	ck_assert_uint_eq(buf[256 + 64 + 16], 77);
	ck_assert_uint_eq(buf[256 + 64 + 17], 77);
	ck_assert_uint_eq(buf[256 + 64 + 20], 9);
	device_free(NULL, buf);
}
TEST_END

TESTS("ptx_cluster", registers, shared_memory_of_others, barrier, bulk_copies, across_the_cluster)
