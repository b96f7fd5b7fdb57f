// SPDX-License-Identifier: Apache-2.0
/*
 * slices.c: a plain CUDA program that asks its kernels on which SMs they run: in each kind of
 * stream, by each kind of launch, with the answers of the driver about its streams, and whether its
 * primary context ends when it says so. tests/process/test_slices.c gives it a slice.
 */
#include "api_expect.h"

#define BLOCKS 64

/* where: out[block] = the SM it ran on. */
static const char ptx[] = ".version 7.0\n.target sm_70\n.address_size 64\n"
			  ".visible .entry where(.param .u64 out) {\n"
			  ".reg .b64 %rd<3>; .reg .b32 %r<3>;\n"
			  "ld.param.u64 %rd0, [out]; mov.u32 %r0, %ctaid.x;\n"
			  "mul.wide.u32 %rd1, %r0, 4; add.s64 %rd1, %rd0, %rd1;\n"
			  "mov.u32 %r1, %smid; st.global.u32 [%rd1], %r1; ret; }\n";

static CUfunction where;
static CUdeviceptr out;

enum how { PLAIN, CONFIG, COOPERATIVE, COOPERATIVE_ATTRIBUTE };

static void launch(CUstream s, enum how how)
{
	void *params[] = {&out};
	CUlaunchAttribute attr = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1};
	CUlaunchConfig config = {.gridDimX = how == CONFIG ? BLOCKS : 8,
	                         .gridDimY = 1,
	                         .gridDimZ = 1,
	                         .blockDimX = 1,
	                         .blockDimY = 1,
	                         .blockDimZ = 1,
	                         .hStream = s,
	                         .attrs = &attr,
	                         .numAttrs = how == COOPERATIVE_ATTRIBUTE};
	OK(cuMemsetD8Async(out, 0xff, BLOCKS * 4, s));
	if (how == PLAIN)
		OK(cuLaunchKernel(where, BLOCKS, 1, 1, 1, 1, 1, 0, s, params, NULL));
	else if (how == COOPERATIVE)
		OK(cuLaunchCooperativeKernel(where, 8, 1, 1, 1, 1, 1, 0, s, params));
	else
		OK(cuLaunchKernelEx(&config, where, params, NULL));
}

/* The SMs of the last launch in that stream: a bit each of the first 32, and how many. */
static void tell(const char *what, CUstream s)
{
	unsigned smid[BLOCKS], bits = 0, n = 0;
	bool seen[1024] = {false};
	OK(cuMemcpyDtoHAsync_v2(smid, out, sizeof(smid), s));
	OK(cuStreamSynchronize(s));
	for (int i = 0; i < BLOCKS; i++) {
		if (smid[i] >= 1024 || seen[smid[i]])
			continue;
		seen[smid[i]] = true;
		bits |= smid[i] < 32 ? 1u << smid[i] : 0;
		n++;
	}
	printf("%s %#x, %u SMs\n", what, bits, n);
}

static void run(const char *what, CUstream s, enum how how)
{
	launch(s, how);
	tell(what, s);
}

/* Captured in that stream, launched there. */
static void run_graph(CUstream s)
{
	CUgraph graph;
	CUgraphExec exec;
	OK(cuStreamBeginCapture_v2(s, CU_STREAM_CAPTURE_MODE_GLOBAL));
	launch(s, PLAIN);
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphInstantiateWithFlags(&exec, graph, 0));
	OK(cuGraphLaunch(exec, s));
	tell("graph", s);
	OK(cuGraphExecDestroy(exec));
	OK(cuGraphDestroy(graph));
}

/* What the driver says of a stream whose kernels are elsewhere. */
static void answers(CUstream s, CUcontext primary)
{
	CUcontext ctx;
	CUgreenCtx green = (CUgreenCtx)1;
	int priority = 1, least, greatest;
	OK(cuCtxGetStreamPriorityRange(&least, &greatest));
	OK(cuStreamGetCtx(s, &ctx));
	OK(cuStreamGetGreenCtx(s, &green));
	OK(cuStreamGetPriority(s, &priority));
	CHECK(ctx == primary && !green && priority == greatest);
}

int main(int argc, char **argv)
{
	CUcontext primary;
	CUmodule module;
	CUstream s, blocking;
	CUstreamAttrValue value = {.syncPolicy = CU_SYNC_POLICY_SPIN};
	int least, greatest, active = 1;
	unsigned flags;
	OK(cuInit(0));
	OK(cuDevicePrimaryCtxRetain(&primary, 0));
	OK(cuCtxSetCurrent(primary));
	OK(cuModuleLoadData(&module, ptx));
	OK(cuModuleGetFunction(&where, module, "where"));
	OK(cuMemAlloc_v2(&out, BLOCKS * 4));
	OK(cuCtxGetStreamPriorityRange(&least, &greatest));
	OK(cuStreamCreateWithPriority(&s, CU_STREAM_NON_BLOCKING, greatest));
	run("non-blocking", s, PLAIN);
	answers(s, primary);
	run("config", s, CONFIG);
	run("cooperative", s, COOPERATIVE);
	run("cooperative-attribute", s, COOPERATIVE_ATTRIBUTE);
	run("again", s, PLAIN);
	run_graph(s);
	run("default-alone", NULL, PLAIN);
	OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	run("blocking", blocking, PLAIN);
	run("default-beside", NULL, PLAIN);
	/* the software GPU has none; whoever asks for one is not to have a shadow all the same */
	(void)cuStreamSetAttribute(s, CU_STREAM_ATTRIBUTE_SYNCHRONIZATION_POLICY, &value);
	run("with-attribute", s, PLAIN);
	OK(cuStreamDestroy_v2(blocking));
	OK(cuDevicePrimaryCtxRelease_v2(0));
	OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
	printf("active %d\n", active);
	return 0;
}
