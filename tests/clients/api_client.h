// SPDX-License-Identifier: Apache-2.0
/*
 * api_client.h: what the api_*.c programs share: checks that say what was expected (api_expect.h),
 * and kernels as PTX (nvcc 13.0 -ptx -arch=compute_75 of the source in the comment below). Plain
 * CUDA programs: nothing here knows what driver runs them.
 */
#ifndef API_CLIENT_H
#define API_CLIENT_H

#include "api_expect.h"

/*
 * add, mul: p[i] += v, p[i] *= v for i < n.   vector_add: c[i] = a[i] + b[i].
 * scaled: p[i] *= scale (a global, 3 at first), through dynamic shared memory;
 * __launch_bounds__(64).
 */
static const char kernels_ptx[] __attribute__((unused)) =
    ".version 9.0\n"
    ".target sm_75\n"
    ".address_size 64\n"
    " // .globl add\n"
    ".global .align 4 .u32 scale = 3;\n"
    ".extern .shared .align 16 .b8 part[];\n"
    ".visible .entry add(\n"
    " .param .u64 add_param_0,\n"
    " .param .u32 add_param_1,\n"
    " .param .u32 add_param_2\n"
    ")\n"
    "{\n"
    " .reg .pred  %p<2>;\n"
    " .reg .b32  %r<9>;\n"
    " .reg .b64  %rd<5>;\n"
    " ld.param.u64  %rd1, [add_param_0];\n"
    " ld.param.u32  %r2, [add_param_1];\n"
    " ld.param.u32  %r3, [add_param_2];\n"
    " mov.u32  %r4, %ctaid.x;\n"
    " mov.u32  %r5, %ntid.x;\n"
    " mov.u32  %r6, %tid.x;\n"
    " mad.lo.s32  %r1, %r4, %r5, %r6;\n"
    " setp.ge.s32  %p1, %r1, %r3;\n"
    " @%p1 bra  $L__BB0_2;\n"
    " cvta.to.global.u64  %rd2, %rd1;\n"
    " mul.wide.s32  %rd3, %r1, 4;\n"
    " add.s64  %rd4, %rd2, %rd3;\n"
    " ld.global.u32  %r7, [%rd4];\n"
    " add.s32  %r8, %r7, %r2;\n"
    " st.global.u32  [%rd4], %r8;\n"
    "$L__BB0_2:\n"
    " ret;\n"
    "}\n"
    " // .globl mul\n"
    ".visible .entry mul(\n"
    " .param .u64 mul_param_0,\n"
    " .param .u32 mul_param_1,\n"
    " .param .u32 mul_param_2\n"
    ")\n"
    "{\n"
    " .reg .pred  %p<2>;\n"
    " .reg .b32  %r<9>;\n"
    " .reg .b64  %rd<5>;\n"
    " ld.param.u64  %rd1, [mul_param_0];\n"
    " ld.param.u32  %r2, [mul_param_1];\n"
    " ld.param.u32  %r3, [mul_param_2];\n"
    " mov.u32  %r4, %ctaid.x;\n"
    " mov.u32  %r5, %ntid.x;\n"
    " mov.u32  %r6, %tid.x;\n"
    " mad.lo.s32  %r1, %r4, %r5, %r6;\n"
    " setp.ge.s32  %p1, %r1, %r3;\n"
    " @%p1 bra  $L__BB1_2;\n"
    " cvta.to.global.u64  %rd2, %rd1;\n"
    " mul.wide.s32  %rd3, %r1, 4;\n"
    " add.s64  %rd4, %rd2, %rd3;\n"
    " ld.global.u32  %r7, [%rd4];\n"
    " mul.lo.s32  %r8, %r7, %r2;\n"
    " st.global.u32  [%rd4], %r8;\n"
    "$L__BB1_2:\n"
    " ret;\n"
    "}\n"
    " // .globl vector_add\n"
    ".visible .entry vector_add(\n"
    " .param .u64 vector_add_param_0,\n"
    " .param .u64 vector_add_param_1,\n"
    " .param .u64 vector_add_param_2,\n"
    " .param .u32 vector_add_param_3\n"
    ")\n"
    "{\n"
    " .reg .pred  %p<2>;\n"
    " .reg .f32  %f<4>;\n"
    " .reg .b32  %r<6>;\n"
    " .reg .b64  %rd<11>;\n"
    " ld.param.u64  %rd1, [vector_add_param_0];\n"
    " ld.param.u64  %rd2, [vector_add_param_1];\n"
    " ld.param.u64  %rd3, [vector_add_param_2];\n"
    " ld.param.u32  %r2, [vector_add_param_3];\n"
    " mov.u32  %r3, %ctaid.x;\n"
    " mov.u32  %r4, %ntid.x;\n"
    " mov.u32  %r5, %tid.x;\n"
    " mad.lo.s32  %r1, %r3, %r4, %r5;\n"
    " setp.ge.s32  %p1, %r1, %r2;\n"
    " @%p1 bra  $L__BB2_2;\n"
    " cvta.to.global.u64  %rd4, %rd1;\n"
    " mul.wide.s32  %rd5, %r1, 4;\n"
    " add.s64  %rd6, %rd4, %rd5;\n"
    " cvta.to.global.u64  %rd7, %rd2;\n"
    " add.s64  %rd8, %rd7, %rd5;\n"
    " ld.global.f32  %f1, [%rd8];\n"
    " ld.global.f32  %f2, [%rd6];\n"
    " add.f32  %f3, %f2, %f1;\n"
    " cvta.to.global.u64  %rd9, %rd3;\n"
    " add.s64  %rd10, %rd9, %rd5;\n"
    " st.global.f32  [%rd10], %f3;\n"
    "$L__BB2_2:\n"
    " ret;\n"
    "}\n"
    " // .globl scaled\n"
    ".visible .entry scaled(\n"
    " .param .u64 scaled_param_0,\n"
    " .param .u32 scaled_param_1\n"
    ")\n"
    ".maxntid 64, 1, 1\n"
    "{\n"
    " .reg .pred  %p<3>;\n"
    " .reg .b32  %r<16>;\n"
    " .reg .b64  %rd<5>;\n"
    " ld.param.u64  %rd2, [scaled_param_0];\n"
    " ld.param.u32  %r6, [scaled_param_1];\n"
    " cvta.to.global.u64  %rd3, %rd2;\n"
    " mov.u32  %r8, %ntid.x;\n"
    " mov.u32  %r9, %ctaid.x;\n"
    " mov.u32  %r1, %tid.x;\n"
    " mad.lo.s32  %r2, %r9, %r8, %r1;\n"
    " setp.ge.s32  %p1, %r2, %r6;\n"
    " mul.wide.s32  %rd4, %r2, 4;\n"
    " add.s64  %rd1, %rd3, %rd4;\n"
    " mov.u32  %r15, 0;\n"
    " @%p1 bra  $L__BB3_2;\n"
    " ld.global.u32  %r15, [%rd1];\n"
    "$L__BB3_2:\n"
    " shl.b32  %r10, %r1, 2;\n"
    " mov.u32  %r11, part;\n"
    " add.s32  %r5, %r11, %r10;\n"
    " st.shared.u32  [%r5], %r15;\n"
    " bar.sync  0;\n"
    " @%p1 bra  $L__BB3_4;\n"
    " ld.global.u32  %r12, [scale];\n"
    " ld.shared.u32  %r13, [%r5];\n"
    " mul.lo.s32  %r14, %r13, %r12;\n"
    " st.global.u32  [%rd1], %r14;\n"
    "$L__BB3_4:\n"
    " ret;\n"
    "}\n";

struct gpu {
	CUcontext ctx;
	CUmodule module;
	CUfunction add, mul, scaled;
};

static inline struct gpu gpu_open(void)
{
	struct gpu g;
	OK(cuInit(0));
	OK(cuDevicePrimaryCtxRetain(&g.ctx, 0));
	OK(cuCtxSetCurrent(g.ctx));
	OK(cuModuleLoadData(&g.module, kernels_ptx));
	OK(cuModuleGetFunction(&g.add, g.module, "add"));
	OK(cuModuleGetFunction(&g.mul, g.module, "mul"));
	OK(cuModuleGetFunction(&g.scaled, g.module, "scaled"));
	return g;
}

static inline CUresult launch(CUfunction f, CUdeviceptr p, int v, int n, CUstream s)
{
	void *params[] = {&p, &v, &n};
	return cuLaunchKernel(f, (unsigned)(n + 127) / 128, 1, 1, 128, 1, 1, 0, s, params, NULL);
}

/* All n integers at p have this value. Waits for everything. */
static inline void expect_all(CUdeviceptr p, int value, int n, const char *file, int line)
{
	int *host = malloc((size_t)n * sizeof(*host));
	OK(cuCtxSynchronize());
	OK(cuMemcpyDtoH(host, p, (size_t)n * sizeof(*host)));
	for (int i = 0; i < n; i++) {
		if (host[i] != value) {
			char found[64], wanted[16];
			snprintf(found, sizeof(found), "[%d] is %d", i, host[i]);
			snprintf(wanted, sizeof(wanted), "%d", value);
			api_begin("the values", file, line);
			api_wrong(found, wanted);
			break;
		}
	}
	free(host);
}
#define EXPECT_ALL(p, value, n) expect_all(p, value, n, __FILE__, __LINE__)

#endif
