// SPDX-License-Identifier: Apache-2.0
/* Green contexts: placing on some SMs in virtual time; the rules of splitting; what belongs to a
 * green context, where its kernels run, what it waits for. The API parts run in children, each
 * with a software GPU of its own. */
#include <semaphore.h>
#include <string.h>

#define __CUDA_API_VERSION_INTERNAL
#include "softgpu/engine.h"
#include "softgpu/sched.h"
#include "tests/harness.h"
#include "tests/unit/sg_child.h"

#define OK(call) CHILD_CHECK((call) == CUDA_SUCCESS)
#define FAILS(call, with) CHILD_CHECK((call) == (with))

/* ---- placing, in virtual time */

static struct sg_model model; /* 4 SMs × 4 blocks of 256 threads */
static struct sg_sched sched;
static struct sg_sm_set low, high; /* SMs 0 and 1, 2 and 3 */

static void setup(void)
{
	memset(&model, 0, sizeof(model));
	model.sms = 4;
	model.blocks_per_sm = 4;
	model.threads_per_sm = 1024;
	model.shared_per_sm = 64 * 1024;
	model.registers_per_sm = 65536;
	ck_assert_int_eq(sg_sched_init(&sched, &model), 0);
	sg_sched_resume(&sched, 0);
	low = high = (struct sg_sm_set){0};
	for (uint32_t i = 0; i < 2; i++) {
		sg_sm_add(&low, i);
		sg_sm_add(&high, 2 + i);
	}
}

static struct sg_kernel kernel(const struct sg_sm_set *on, uint64_t blocks, uint64_t solo_ns)
{
	return (struct sg_kernel){
	    .on = on, .blocks = blocks, .block_threads = 256, .solo_ns = solo_ns};
}

static void ends(struct sg_kernel *k, uint64_t start_ns, uint64_t end_ns)
{
	ck_assert_ptr_eq(sg_sched_advance(&sched, SG_NEVER - 1), k);
	ck_assert_uint_eq(k->start_ns, start_ns);
	ck_assert_uint_eq(k->end_ns, end_ns);
}

TEST(parts_do_not_share)
{
	setup();
	/* each fills its part (8 slots) three times over */
	struct sg_kernel a = kernel(&low, 24, 3000), b = kernel(&high, 24, 3003);
	sg_sched_add(&sched, &a);
	sg_sched_add(&sched, &b);
	ends(&a, 0, 3000);
	ends(&b, 0, 3003);
	sg_sched_fini(&sched);
}
TEST_END

TEST(a_full_part_makes_only_itself_wait)
{
	setup();
	struct sg_kernel a = kernel(&low, 8, 1000), b = kernel(&low, 8, 1500);
	struct sg_kernel c = kernel(&high, 1, 500), d = kernel(NULL, 4, 2000);
	sg_sched_add(&sched, &a);
	sg_sched_add(&sched, &b); /* has to wait, and its SMs are its own when they come free */
	sg_sched_add(&sched, &c);
	sg_sched_add(&sched, &d); /* may use all SMs, but not before b on those of b */
	ends(&c, 0, 500);
	ends(&a, 0, 1000);
	ends(&d, 0, 2000);
	ends(&b, 1000, 2500);
	sg_sched_fini(&sched);
}
TEST_END

TEST(the_whole_device_first)
{
	setup();
	struct sg_kernel a = kernel(NULL, 32, 2000), b = kernel(&high, 1, 100);
	sg_sched_add(&sched, &a); /* two waves of 16 */
	sg_sched_add(&sched, &b);
	ends(&a, 0, 2000);
	ends(&b, 2000, 2100); /* a's last wave filled the device */
	sg_sched_fini(&sched);
}
TEST_END

TEST(a_cooperative_kernel_waits_for_its_part_only)
{
	setup();
	struct sg_kernel a = kernel(&low, 1, 5000), b = kernel(&high, 1, 1000);
	struct sg_kernel c = kernel(&high, 8, 700);
	c.cooperative = true;
	sg_sched_add(&sched, &a);
	sg_sched_add(&sched, &b);
	sg_sched_add(&sched, &c);
	ends(&b, 0, 1000);
	ends(&c, 1000, 1700);
	ends(&a, 0, 5000);
	sg_sched_fini(&sched);
}
TEST_END

TEST(time_follows_the_number_of_sms)
{
	model.sms = 132;
	ck_assert_uint_eq(sg_model_confined_ns(&model, 1320, 1000, 132), 1000);
	ck_assert_uint_eq(sg_model_confined_ns(&model, 1320, 1000, 66), 2000);
	ck_assert_uint_eq(sg_model_confined_ns(&model, 8, 1000, 8), 1000);
	ck_assert_uint_eq(sg_model_confined_ns(&model, 12, 1000, 8), 1500);
}
TEST_END

/* ---- splitting */

static CUdevResource whole(void)
{
	CUdevResource all;
	OK(cuInit(0));
	OK(cuDeviceGetDevResource(0, &all, CU_DEV_RESOURCE_TYPE_SM));
	CHILD_CHECK(all.type == CU_DEV_RESOURCE_TYPE_SM);
	return all;
}

static void split_h200(void)
{
	CUdevResource all = whole(), part[80], rest;
	CHILD_CHECK(all.sm.smCount == 132 && all.sm.minSmPartitionSize == 8 &&
	            all.sm.smCoscheduledAlignment == 8);
	const struct {
		unsigned least, flags, groups, size;
	} cases[] = {{0, 0, 16, 8},  {1, 0, 16, 8},    {8, 0, 16, 8}, {9, 0, 8, 16},
	             {66, 0, 1, 72}, {128, 0, 1, 128}, {1, 1, 66, 2}, {3, 1, 33, 4}};
	for (size_t i = 0; i < REIN_ARRAY_LEN(cases); i++) {
		unsigned n = 0, got = 80;
		OK(cuDevSmResourceSplitByCount(NULL, &n, &all, NULL, cases[i].flags,
		                               cases[i].least));
		CHILD_CHECK(n == cases[i].groups);
		OK(cuDevSmResourceSplitByCount(part, &got, &all, &rest, cases[i].flags,
		                               cases[i].least));
		CHILD_CHECK(got == n && part[n - 1].sm.smCount == cases[i].size);
		unsigned left = 132 - n * cases[i].size;
		CHILD_CHECK(left ? rest.sm.smCount == left
		                 : rest.type == CU_DEV_RESOURCE_TYPE_INVALID);
	}
	unsigned n = 80;
	FAILS(cuDevSmResourceSplitByCount(part, &n, &all, NULL, 0, 132),
	      CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION); /* would have to be 136 */
	FAILS(cuDevSmResourceSplitByCount(part, &n, &all, NULL, 0, 133), CUDA_ERROR_INVALID_VALUE);
}

TEST(splits_as_hopper_does)
{
	const char *const env[] = {"SOFTGPU_MODE=fast", "SOFTGPU_GEOMETRY=h200", NULL};
	child_run(split_h200, env);
}
TEST_END

static void split_errors(void)
{
	CUdevResource all = whole(), part[4], other[4], rest, both[2];
	CUdevResourceDesc desc, same;
	unsigned n = 2;
	CHILD_CHECK(all.sm.smCount == 8 && all.sm.minSmPartitionSize == 2);
	FAILS(cuDeviceGetDevResource(1, &all, CU_DEV_RESOURCE_TYPE_SM), CUDA_ERROR_INVALID_DEVICE);
	FAILS(cuDeviceGetDevResource(0, &all, CU_DEV_RESOURCE_TYPE_INVALID),
	      CUDA_ERROR_INVALID_RESOURCE_TYPE);
	FAILS(cuDevSmResourceSplitByCount(part, NULL, &all, NULL, 0, 2), CUDA_ERROR_INVALID_VALUE);
	FAILS(cuDevSmResourceSplitByCount(part, &n, &all, NULL, 8, 2), CUDA_ERROR_INVALID_VALUE);
	/* fewer groups than there could be: the rest is all that remains */
	OK(cuDevSmResourceSplitByCount(part, &n, &all, &rest, 0, 2));
	CHILD_CHECK(n == 2 && part[1].sm.smCount == 2 && rest.sm.smCount == 4);
	FAILS(cuDevSmResourceSplitByCount(other, &n, &rest, NULL, 0, 2),
	      CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION);
	OK(cuDevSmResourceSplitByCount(other, &n, &all, NULL, 0, 2));

	OK(cuDevResourceGenerateDesc(&desc, part, 2));
	both[0] = part[1];
	both[1] = part[0];
	OK(cuDevResourceGenerateDesc(&same, both, 2));
	CHILD_CHECK(desc == same);
	both[1] = other[0]; /* of another split */
	FAILS(cuDevResourceGenerateDesc(&desc, both, 2), CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION);
	FAILS(cuDevResourceGenerateDesc(&desc, part, 0), CUDA_ERROR_INVALID_VALUE);
	memset(&both[0], 0, sizeof(both[0]));
	FAILS(cuDevResourceGenerateDesc(&desc, both, 1), CUDA_ERROR_INVALID_RESOURCE_TYPE);
	both[0].type = CU_DEV_RESOURCE_TYPE_SM; /* made up */
	FAILS(cuDevResourceGenerateDesc(&desc, both, 1), CUDA_ERROR_INVALID_VALUE);
}

TEST(split_and_describe_say_what_is_wrong)
{
	const char *const env[] = {"SOFTGPU_MODE=fast", NULL};
	child_run(split_errors, env);
}
TEST_END

/* ---- green contexts */

static const char ptx[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
			  ".visible .entry where(.param .u64 out) {\n"
			  ".reg .b64 %rd<3>; .reg .b32 %r<3>;\n"
			  "ld.param.u64 %rd0, [out]; mov.u32 %r0, %ctaid.x;\n"
			  "mul.wide.u32 %rd1, %r0, 4; add.s64 %rd1, %rd0, %rd1;\n"
			  "mov.u32 %r1, %smid; st.global.u32 [%rd1], %r1; ret; }\n";

struct green_rig {
	CUcontext primary;
	CUfunction where;
	CUdeviceptr out;
	CUgreenCtx green[2];
	CUdevResource part[2], rest; /* 2, 2 and 4 SMs */
	CUstream stream[2];
};

static struct green_rig rig_make(void)
{
	struct green_rig g;
	CUdevResource all = whole();
	CUmodule module;
	unsigned n = 2;
	OK(cuDevicePrimaryCtxRetain(&g.primary, 0));
	OK(cuCtxSetCurrent(g.primary));
	OK(cuModuleLoadData(&module, ptx));
	OK(cuModuleGetFunction(&g.where, module, "where"));
	OK(cuMemAlloc_v2(&g.out, 64 * 4));
	OK(cuDevSmResourceSplitByCount(g.part, &n, &all, &g.rest, 0, 2));
	for (int i = 0; i < 2; i++) {
		CUdevResourceDesc desc;
		OK(cuDevResourceGenerateDesc(&desc, &g.part[i], 1));
		OK(cuGreenCtxCreate(&g.green[i], desc, 0, CU_GREEN_CTX_DEFAULT_STREAM));
		OK(cuGreenCtxStreamCreate(&g.stream[i], g.green[i], CU_STREAM_NON_BLOCKING, 0));
	}
	return g;
}

static void launch(struct green_rig *g, CUstream s)
{
	void *params[] = {&g->out};
	OK(cuLaunchKernel(g->where, 64, 1, 1, 1, 1, 1, 0, s, params, NULL));
}

/* A bit per SM on which the last launch had a block. */
static unsigned seen(struct green_rig *g, CUstream s)
{
	unsigned smid[64], bits = 0;
	OK(cuStreamSynchronize(s));
	OK(cuMemcpyDtoH_v2(smid, g->out, sizeof(smid)));
	for (int i = 0; i < 64; i++)
		bits |= 1u << smid[i];
	return bits;
}

static void runs_where(void)
{
	struct green_rig g = rig_make();
	CUcontext face, ctx;
	CUgreenCtx green;
	CUstream mine;
	launch(&g, g.stream[0]);
	CHILD_CHECK(seen(&g, g.stream[0]) == 0x03);
	launch(&g, g.stream[1]);
	CHILD_CHECK(seen(&g, g.stream[1]) == 0x0c);
	launch(&g, NULL);
	CHILD_CHECK(seen(&g, NULL) == 0xff);

	/* the green context as the current one: its default stream, and streams made in it */
	OK(cuCtxFromGreenCtx(&face, g.green[1]));
	OK(cuCtxSetCurrent(face));
	OK(cuCtxGetCurrent(&ctx));
	CHILD_CHECK(ctx == face);
	launch(&g, NULL);
	CHILD_CHECK(seen(&g, NULL) == 0x0c);
	OK(cuStreamCreate(&mine, CU_STREAM_DEFAULT));
	OK(cuStreamGetGreenCtx(mine, &green));
	CHILD_CHECK(green == g.green[1]);
	launch(&g, mine);
	CHILD_CHECK(seen(&g, mine) == 0x0c);
	OK(cuStreamGetCtx_v2(NULL, &ctx, &green));
	CHILD_CHECK(ctx == g.primary && green == g.green[1]);
	OK(cuStreamGetCtx(mine, &ctx));
	CHILD_CHECK(ctx == face);
	FAILS(cuStreamQuery(CU_STREAM_PER_THREAD), CUDA_ERROR_INVALID_HANDLE);
	OK(cuCtxSynchronize());
}

static CUgraph captured(struct green_rig *g, CUstream s)
{
	CUgraph graph;
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	launch(g, s);
	OK(cuStreamEndCapture(s, &graph));
	return graph;
}

/* A graph keeps the SMs of the stream in which it was captured, wherever it is launched; whoever
 * changes a node's parameters changes nothing of that. */
static void graph_runs_where(void)
{
	struct green_rig g = rig_make();
	CUgraph inside, outside;
	CUgraphExec exec;
	CUgraphNode node;
	CUstream plain;
	size_t n = 1;
	CUDA_KERNEL_NODE_PARAMS p;
	OK(cuStreamCreate(&plain, CU_STREAM_NON_BLOCKING));
	inside = captured(&g, g.stream[0]);
	outside = captured(&g, plain);
	OK(cuGraphInstantiateWithFlags(&exec, inside, 0));
	OK(cuGraphLaunch(exec, g.stream[1]));
	CHILD_CHECK(seen(&g, g.stream[1]) == 0x03);
	OK(cuGraphLaunch(exec, plain));
	CHILD_CHECK(seen(&g, plain) == 0x03);
	OK(cuGraphGetNodes(inside, &node, &n));
	OK(cuGraphKernelNodeGetParams_v2(node, &p));
	OK(cuGraphExecKernelNodeSetParams_v2(exec, node, &p));
	OK(cuGraphLaunch(exec, plain));
	CHILD_CHECK(seen(&g, plain) == 0x03);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphInstantiateWithFlags(&exec, outside, 0));
	OK(cuGraphLaunch(exec, g.stream[0]));
	CHILD_CHECK(seen(&g, g.stream[0]) == 0xff);
}

TEST(kernels_stay_on_their_sms)
{
	const char *const env[] = {"SOFTGPU_MODE=fast", NULL};
	child_run(runs_where, env);
	child_run(graph_runs_where, env);
}
TEST_END

static float between_ms(CUevent a, CUevent b)
{
	float ms = 0;
	OK(cuEventSynchronize(b));
	OK(cuEventElapsedTime_v2(&ms, a, b));
	return ms;
}

/* To another stream and back, by events: 50 times, with a kernel on each side. */
static float there_and_back(struct green_rig *g, CUstream from, CUstream to)
{
	CUevent begin, end, went;
	OK(cuEventCreate(&begin, CU_EVENT_DEFAULT));
	OK(cuEventCreate(&end, CU_EVENT_DEFAULT));
	OK(cuEventCreate(&went, CU_EVENT_DISABLE_TIMING));
	for (int i = 0; i < 5; i++) /* so that the host is ahead */
		launch(g, from);
	OK(cuEventRecord(begin, from));
	for (int i = 0; i < 50; i++) {
		launch(g, from);
		OK(cuEventRecord(went, from));
		OK(cuStreamWaitEvent(to, went, 0));
		launch(g, to);
		OK(cuEventRecord(went, to));
		OK(cuStreamWaitEvent(from, went, 0));
	}
	OK(cuEventRecord(end, from));
	return between_ms(begin, end);
}

static void going_costs(void)
{
	struct green_rig g = rig_make();
	CUstream plain[2];
	size_t before, after, all;
	for (int i = 0; i < 2; i++)
		OK(cuStreamCreate(&plain[i], CU_STREAM_NON_BLOCKING));
	float same = there_and_back(&g, plain[0], plain[1]);
	float other = there_and_back(&g, plain[0], g.stream[0]);
	float confined = there_and_back(&g, g.stream[0], g.stream[0]);
	/* half of the kernels in the slice take as long as there */
	float slower = (confined - same) / 2;
	CHILD_CHECK(other - same - slower > 50 * 0.0042f - 0.001f);
	OK(cuMemGetInfo_v2(&before, &all));
	OK(cuGreenCtxDestroy(g.green[1]));
	OK(cuMemGetInfo_v2(&after, &all));
	CHILD_CHECK(after - before == 5600u << 10);
}

TEST(a_slice_costs_memory_and_the_way_to_it)
{
	const char *const env[] = {"SOFTGPU_MODE=time", "SOFTGPU_TIMES=where=1ms", NULL};
	child_run(going_costs, env);
}
TEST_END

static void life(void)
{
	struct green_rig g = rig_make();
	CUdevResource part;
	CUdevResourceDesc desc;
	CUgreenCtx green;
	CUcontext face, ctx;
	CUstream s;
	CUevent e;
	unsigned long long id[2], n = 0;
	unsigned flags, two = 2;
	int priority, active;

	OK(cuDevResourceGenerateDesc(&desc, &g.rest, 1));
	FAILS(cuGreenCtxCreate(&green, desc, 0, 0), CUDA_ERROR_INVALID_VALUE);
	FAILS(cuGreenCtxCreate(&green, desc, 1, 1), CUDA_ERROR_INVALID_DEVICE);
	FAILS(cuGreenCtxCreate(&green, (CUdevResourceDesc)&g, 0, 1), CUDA_ERROR_INVALID_VALUE);
	OK(cuGreenCtxCreate(&green, desc, 0, CU_GREEN_CTX_DEFAULT_STREAM));
	OK(cuGreenCtxGetDevResource(green, &part, CU_DEV_RESOURCE_TYPE_SM));
	CHILD_CHECK(part.sm.smCount == 4);
	OK(cuDevSmResourceSplitByCount(NULL, &two, &part, NULL, 0, 2)); /* of a context: allowed */
	CHILD_CHECK(two == 2);
	OK(cuCtxFromGreenCtx(&face, green));
	OK(cuCtxGetDevResource(face, &part, CU_DEV_RESOURCE_TYPE_SM));
	CHILD_CHECK(part.sm.smCount == 4);
	OK(cuCtxGetDevResource(g.primary, &part, CU_DEV_RESOURCE_TYPE_SM));
	CHILD_CHECK(part.sm.smCount == 8);

	FAILS(cuGreenCtxStreamCreate(&s, green, CU_STREAM_DEFAULT, 0), CUDA_ERROR_INVALID_VALUE);
	OK(cuGreenCtxStreamCreate(&s, green, CU_STREAM_NON_BLOCKING, -100));
	OK(cuStreamGetPriority(s, &priority));
	CHILD_CHECK(priority == -5);
	OK(cuGreenCtxGetId(green, &id[0]));
	FAILS(cuGreenCtxGetId(NULL, &n), CUDA_ERROR_INVALID_CONTEXT);
	OK(cuCtxPushCurrent_v2(face));
	OK(cuGreenCtxGetId(NULL, &id[1]));
	CHILD_CHECK(id[0] == id[1]);
	FAILS(cuCtxDestroy_v2(face), CUDA_ERROR_INVALID_CONTEXT);
	FAILS(cuCtxSetCurrent((CUcontext)green), CUDA_ERROR_INVALID_CONTEXT);
	OK(cuEventCreate(&e, 0));
	OK(cuEventRecord(e, g.stream[0])); /* everything belongs to the primary context */

	OK(cuGreenCtxDestroy(green));
	OK(cuCtxGetCurrent(&ctx));
	CHILD_CHECK(ctx == g.primary); /* it was the current one */
	FAILS(cuGreenCtxDestroy(green), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	FAILS(cuStreamSynchronize(s), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	FAILS(cuStreamDestroy_v2(s), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	FAILS(cuCtxSetCurrent(face), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	FAILS(cuGreenCtxDestroy((CUgreenCtx)&g), CUDA_ERROR_INVALID_CONTEXT);

	/* each green context retains the primary one */
	OK(cuDevicePrimaryCtxRelease_v2(0));
	OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
	CHILD_CHECK(active);
	OK(cuGreenCtxDestroy(g.green[0]));
	OK(cuGreenCtxDestroy(g.green[1]));
	OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
	CHILD_CHECK(!active);
}

TEST(made_used_and_destroyed)
{
	const char *const env[] = {"SOFTGPU_MODE=fast", NULL};
	child_run(life, env);
}
TEST_END

/* ---- order */

static sem_t gate;

static void CUDA_CB pass_gate(void *data)
{
	while (sem_wait(&gate) != 0)
		;
}

static void order(void)
{
	struct green_rig g = rig_make();
	CUstream blocking, later;
	CUevent e, all;
	sem_init(&gate, 0, 0);
	OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
	OK(cuEventCreate(&all, CU_EVENT_DISABLE_TIMING));
	OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));

	/* the NULL stream: a blocking stream waits for it, one of a green context does not */
	OK(cuLaunchHostFunc(NULL, pass_gate, NULL));
	launch(&g, blocking);
	launch(&g, g.stream[0]);
	OK(cuStreamSynchronize(g.stream[0]));
	FAILS(cuStreamQuery(blocking), CUDA_ERROR_NOT_READY);
	sem_post(&gate);
	OK(cuCtxSynchronize());

	/* and the other way round */
	OK(cuLaunchHostFunc(g.stream[0], pass_gate, NULL));
	launch(&g, NULL);
	OK(cuStreamSynchronize(NULL));

	/* an event of a green context, one of the whole context, and what waits for them */
	OK(cuGreenCtxRecordEvent(g.green[0], e));
	OK(cuCtxRecordEvent(g.primary, all));
	FAILS(cuEventQuery(e), CUDA_ERROR_NOT_READY);
	FAILS(cuEventQuery(all), CUDA_ERROR_NOT_READY);
	OK(cuGreenCtxRecordEvent(g.green[1], all));
	OK(cuEventSynchronize(all)); /* the other green context has nothing to do */
	OK(cuGreenCtxWaitEvent(g.green[1], e));
	launch(&g, g.stream[1]);
	OK(cuGreenCtxStreamCreate(&later, g.green[1], CU_STREAM_NON_BLOCKING, 0));
	launch(&g, later);
	launch(&g, blocking);
	OK(cuStreamSynchronize(blocking));
	FAILS(cuStreamQuery(g.stream[1]), CUDA_ERROR_NOT_READY);
	FAILS(cuStreamQuery(later), CUDA_ERROR_NOT_READY);
	OK(cuCtxWaitEvent(g.primary, e));
	launch(&g, blocking);
	FAILS(cuStreamQuery(blocking), CUDA_ERROR_NOT_READY);
	sem_post(&gate);
	OK(cuCtxSynchronize());
	OK(cuStreamQuery(g.stream[1]));

	/* a green context that goes while its work waits: the work ends all the same */
	OK(cuLaunchHostFunc(g.stream[0], pass_gate, NULL));
	OK(cuEventRecord(e, g.stream[0]));
	OK(cuGreenCtxDestroy(g.green[0]));
	FAILS(cuStreamQuery(g.stream[0]), CUDA_ERROR_CONTEXT_IS_DESTROYED);
	FAILS(cuEventQuery(e), CUDA_ERROR_NOT_READY);
	sem_post(&gate);
	OK(cuEventSynchronize(e));
	sem_destroy(&gate);
}

TEST(keeps_order)
{
	const char *const env[] = {"SOFTGPU_MODE=fast", NULL};
	child_run(order, env);
}
TEST_END

static void one_each(void)
{
	struct green_rig g = rig_make();
	launch(&g, g.stream[0]);
	OK(cuStreamSynchronize(g.stream[0]));
	launch(&g, NULL);
	OK(cuCtxSynchronize());
}

TEST(modelled_time_follows_the_slice)
{
	char path[64], log[100], line[256];
	child_file(path, sizeof(path), "order");
	snprintf(log, sizeof(log), "SOFTGPU_ORDER_LOG=%s", path);
	const char *const env[] = {"SOFTGPU_MODE=time", "SOFTGPU_TIMES=where=1ms", log, NULL};
	child_run(one_each, env);
	FILE *f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	unsigned long long want[] = {4000000, 1000000}, start, end; /* 2 of 8 SMs, then all */
	int n = 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*d %*u kernel %*s %llu %llu", &start, &end) == 2) {
			ck_assert_int_lt(n, 2);
			ck_assert_uint_eq(end - start, want[n++]);
		}
	ck_assert_int_eq(n, 2);
	fclose(f);
	unlink(path);
}
TEST_END

TESTS("sg_green", parts_do_not_share, a_full_part_makes_only_itself_wait, the_whole_device_first,
      a_cooperative_kernel_waits_for_its_part_only, time_follows_the_number_of_sms,
      splits_as_hopper_does, split_and_describe_say_what_is_wrong, kernels_stay_on_their_sms,
      a_slice_costs_memory_and_the_way_to_it, made_used_and_destroyed, keeps_order,
      modelled_time_follows_the_slice)
