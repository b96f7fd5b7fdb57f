// SPDX-License-Identifier: Apache-2.0
/*
 * What the model promises of a GPU under contention, through the whole engine, where no other test
 * has it: an urgent stream's blocks go first; kernels that want more memory bandwidth than there
 * is share it; a kernel that lost the device again and again has the right result.
 *
 * Elsewhere: a kernel alone takes its modelled time (test_sg_time, test_sg_sched), two that
 * saturate get equal slices (test_sg_ledger, test_sg_device), processes run together (test_sg_mps,
 * test_sg_corun), a wait holds its stream and channel (test_sg_memop, test_sg_channel), a partition
 * confines (test_sg_green). Times are the model's: nothing asserts on the wall clock.
 */
#include <math.h>
#include <sys/mman.h>

#include <cuda.h>

#include "common/atomic.h"
#include "tests/harness.h"
#include "tests/unit/sg_child.h"

#define OK(call) CHILD_CHECK((call) == CUDA_SUCCESS)

static rein_a32 word;

static CUresult wait_for_word(struct sg_cmd *c)
{
	return rein_load_acquire(&word) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

/* What follows in these streams is submitted before it may start: its times are the model's. */
static void gate(struct sg_stream *const *s, int n, struct sg_event *from)
{
	struct sg_cmd *c = child_cmd(SG_CMD_MEMOP, NULL);
	c->step = wait_for_word;
	c->memops = 1;
	OK(sg_submit(s[0], c));
	OK(sg_event_record(from, s[0]));
	for (int i = 1; i < n; i++)
		OK(sg_stream_wait_event(s[i], from));
}

static void open_gate(void)
{
	usleep(1000); /* longer than the launch latency of the last submission */
	rein_store_release(&word, 1);
}

static void put(struct sg_stream *s, const char *name, uint64_t blocks, struct sg_event *after)
{
	struct sg_cmd *c = child_cmd(SG_CMD_KERNEL, name);
	c->blocks = blocks;
	c->block_threads = 1024; /* an SM of 2048 threads holds two blocks: 16 in all */
	OK(sg_submit(s, c));
	OK(sg_event_record(after, s));
}

static void expect(struct sg_event *from, struct sg_event *at, double wanted_ms)
{
	double ms = -1;
	OK(sg_event_sync(at));
	OK(sg_event_elapsed(from, at, &ms));
	if (fabs(ms - wanted_ms) > 1e-5)
		fprintf(stderr, "%.6f ms instead of %.6f\n", ms, wanted_ms);
	CHILD_CHECK(fabs(ms - wanted_ms) <= 1e-5);
}

static const char *const env[] = {"SOFTGPU_MODE=time",
                                  "SOFTGPU_TIMES=waves=10ms,wave=1ms,hungry=2ms@100,half=2ms@50",
                                  "SOFTGPU_KERNEL_GAP=0ns",
                                  "SOFTGPU_MEMOP=0ns",
                                  "SOFTGPU_H2D_GBPS=1",
                                  "SOFTGPU_COPY_LATENCY=0ns",
                                  NULL};

static struct sg_domain *domain;
static struct sg_stream *stream[3];
static struct sg_event *from, *end[3];

static void start(int urgent)
{
	domain = child_domain();
	from = sg_event_new();
	for (int i = 0; i < 3; i++) {
		OK(sg_stream_new(domain, SG_STREAM_NONBLOCKING, i == urgent ? -1 : 0, &stream[i]));
		end[i] = sg_event_new();
	}
	gate(stream, 3, from);
}

static void finish(void)
{
	OK(sg_domain_sync(domain));
	sg_event_free(from);
	for (int i = 0; i < 3; i++)
		sg_event_free(end[i]);
	sg_domain_free(domain);
}

/* Ten waves of 1 ms, one more behind them, and an urgent one that comes half a millisecond later:
 * it has the place of the second. */
static void urgent_first(void)
{
	struct sg_cmd *copy = child_cmd(SG_CMD_COPY, NULL);
	copy->bytes = 500000;
	start(2);
	put(stream[0], "waves", 160, end[0]);
	put(stream[1], "wave", 16, end[1]);
	OK(sg_submit(stream[2], copy));
	put(stream[2], "wave", 16, end[2]);
	open_gate();
	expect(from, end[2], 2);
	expect(from, end[0], 11);
	expect(from, end[1], 12);
	finish();
}

TEST(an_urgent_streams_blocks_go_first)
{
	child_run(urgent_first, env);
}
TEST_END

/* Each on a third of the slots: 1 + 0.5 of the bandwidth wanted. */
static void share_memory(void)
{
	start(-1);
	put(stream[0], "hungry", 4, end[0]);
	put(stream[1], "half", 4, end[1]);
	put(stream[2], "wave", 4, end[2]);
	open_gate();
	expect(from, end[2], 1);                     /* uses none */
	expect(from, end[1], 2.5);                   /* half of its time is stretched by 1.5 */
	expect(from, end[0], 2.5 + (2 - 2.5 / 1.5)); /* then it is alone */
	finish();
}

TEST(kernels_share_memory_bandwidth)
{
	child_run(share_memory, env);
}
TEST_END

/* ---- preemption */

#define THREADS 256
#define BLOCKS 64
#define ROUNDS 20

/* x → 3 x + 1, 500 times, for each word; reads what the last launch has left */
static const char ptx[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
			  ".visible .entry step(.param .u64 at) {\n"
			  ".reg .b64 %rd<3>; .reg .b32 %r<6>; .reg .pred %p;\n"
			  "ld.param.u64 %rd0, [at];\n"
			  "mov.u32 %r0, %ctaid.x; mov.u32 %r1, %ntid.x; mov.u32 %r2, %tid.x;\n"
			  "mad.lo.u32 %r0, %r0, %r1, %r2;\n"
			  "mul.wide.u32 %rd1, %r0, 4; add.s64 %rd1, %rd0, %rd1;\n"
			  "ld.global.u32 %r3, [%rd1]; mov.u32 %r4, 0;\n"
			  "again: mad.lo.u32 %r3, %r3, 3, 1; add.u32 %r4, %r4, 1;\n"
			  "setp.lt.u32 %p, %r4, 500; @%p bra again;\n"
			  "st.global.u32 [%rd1], %r3; ret; }\n";

static rein_a32 *present;

/* Two processes at the same time, each with its own words. */
static struct sg_stats steps(void)
{
	static uint32_t data[THREADS * BLOCKS];
	const uint32_t n = THREADS * BLOCKS, seed = (uint32_t)getpid();
	CUcontext context;
	CUmodule module;
	CUfunction step;
	CUdeviceptr at;
	struct sg_stats st;
	OK(cuInit(0));
	OK(cuDevicePrimaryCtxRetain(&context, 0));
	OK(cuCtxSetCurrent(context));
	OK(cuModuleLoadData(&module, ptx));
	OK(cuModuleGetFunction(&step, module, "step"));
	OK(cuMemAlloc_v2(&at, sizeof(data)));
	for (uint32_t i = 0; i < n; i++)
		data[i] = i ^ seed;
	OK(cuMemcpyHtoD_v2(at, data, sizeof(data)));
	rein_add_release(present, 1);
	while (rein_load_acquire(present) < 2)
		usleep(100);
	for (int i = 0; i < ROUNDS; i++) {
		void *params[] = {&at};
		OK(cuLaunchKernel(step, BLOCKS, 1, 1, THREADS, 1, 1, 0, NULL, params, NULL));
	}
	OK(cuCtxSynchronize());
	OK(cuMemcpyDtoH_v2(data, at, sizeof(data)));
	sg_engine_stats(&st);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t x = i ^ seed;
		for (int j = 0; j < 500 * ROUNDS; j++)
			x = 3 * x + 1;
		CHILD_CHECK(data[i] == x);
	}
	return st;
}

static void two_at_once(void (*fn)(void), const char *const *with)
{
	present = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(present, MAP_FAILED);
	pid_t a = child_start(fn, with), b = child_start(fn, with);
	ck_assert_int_eq(child_wait(a), 0);
	ck_assert_int_eq(child_wait(b), 0);
	munmap(present, 4096);
}

static void preempted(void)
{
	struct sg_stats st = steps();
	CHILD_CHECK(st.slices >= 5 && st.slice_switches >= 5); /* it did lose the device */
}

TEST(preempted_kernels_have_the_right_result)
{
	static const char *const wall[] = {"SOFTGPU_MODE=wall",         "SOFTGPU_TIMES=step=15ms",
	                                   "SOFTGPU_TIMESLICE=2ms",     "SOFTGPU_SWITCH=50us",
	                                   "SOFTGPU_OVERRUN_SLACK=10s", NULL};
	two_at_once(preempted, wall);
}
TEST_END

static int attribute(CUdevice_attribute a)
{
	int v = -1;
	OK(cuDeviceGetAttribute(&v, a, 0));
	return v;
}

/* Their durations are known only when they have executed. */
static void together(void)
{
	struct sg_stats st = steps();
	CHILD_CHECK(st.kernels == ROUNDS && st.slices == 0 && st.busy_ns > 0);
	CHILD_CHECK(attribute(CU_DEVICE_ATTRIBUTE_MPS_ENABLED) == 1);
	CHILD_CHECK(attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT) == 2);
}

TEST(so_have_those_of_clients_that_run_together)
{
	static const char *const env_mps[] = {"SOFTGPU_MODE=wall", "SOFTGPU_MPS=1",
	                                      "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=25",
	                                      "SOFTGPU_CLOCK_MHZ=200", NULL};
	two_at_once(together, env_mps);
}
TEST_END

TESTS("software GPU: fidelity", an_urgent_streams_blocks_go_first, kernels_share_memory_bandwidth,
      preempted_kernels_have_the_right_result, so_have_those_of_clients_that_run_together)
