/* SPDX-License-Identifier: Apache-2.0 */
/*
 * point_rig.h: a program under the queue gate with a driver and a daemon played here: what the
 * tests of points and of the room behind them share.
 */
#ifndef REIN_TESTS_POINT_RIG_H
#define REIN_TESTS_POINT_RIG_H

#include "tests/harness.h"
#include "tests/unit/fake_driver.h"

#include <sys/mman.h>
#include <unistd.h>

#include "common/sock.h"
#include "interpose/point.h"

#define Q_NS (100 * REIN_US)
#define MEMOPS_MAX 512

static CUstream stream;
static struct rein_points *points; /* the daemon's end of it */
static CUresult register_result, memop_result;
static unsigned registered, allocated;

/* Each batch: in which stream, behind how many submissions, and what. */
static struct memop {
	CUstream stream;
	uint64_t behind;
	CUstreamBatchMemOpParams op[2];
} memop[MEMOPS_MAX];
static unsigned memops;

static inline CUresult fake_memop(CUstream s, unsigned n, CUstreamBatchMemOpParams *op,
                                  unsigned flags)
{
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_lt(memops, MEMOPS_MAX);
	if (memop_result != CUDA_SUCCESS)
		return memop_result;
	memop[memops].stream = s;
	memop[memops].behind = given(s);
	memcpy(memop[memops++].op, op, 2 * sizeof(*op));
	return CUDA_SUCCESS;
}

static inline CUresult fake_register(void *p, size_t n, unsigned flags)
{
	registered += register_result == CUDA_SUCCESS;
	return register_result;
}

static inline CUresult fake_host_alloc(void **p, size_t n, unsigned flags)
{
	allocated++;
	*p = aligned_alloc(4096, n);
	return *p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

static inline CUresult fake_device_pointer(CUdeviceptr *d, void *p, unsigned flags)
{
	*d = (CUdeviceptr)(uintptr_t)p;
	return CUDA_SUCCESS;
}

static inline CUresult fake_launch_ex(const CUlaunchConfig *c, CUfunction f, void **params,
                                      void **extra)
{
	return fake_submit(c->hStream);
}

static inline CUresult fake_ipc(CUipcEventHandle *handle, CUevent event)
{
	return CUDA_SUCCESS;
}

/* A daemon that allows points, as the warden would meet it. */
static inline void join(void)
{
	int fd = rein_memfd_new("points", REIN_AREA_ALIGN);
	points = mmap(NULL, REIN_AREA_ALIGN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(points, MAP_FAILED);
	points->header = (struct rein_abi_header){REIN_ABI_MAGIC, REIN_ABI_MAJOR, REIN_ABI_MINOR,
	                                          sizeof(*points), 0};
	rein_store_release(&points->open, 1);
	rein_point_join(fd);
	close(fd);
	rein_point_publish();
	rein_store_relaxed(&REIN_CONTROL->verdict[0].point_ns, Q_NS);
	rein_store_relaxed(&REIN_CONTROL->verdict[0].backlog_ns, 4 * REIN_MS);
	rein_store_relaxed(&REIN_CONTROL->verdict[0].backlog_launches, 64);
	ck_assert_int_le(rein_point_watch(2000), 60);
}

static inline void start(void)
{
	fake_start();
	real.cuStreamBatchMemOp_v2 = fake_memop;
	real.cuMemHostRegister_v2 = fake_register;
	real.cuMemHostAlloc = fake_host_alloc;
	real.cuMemHostGetDevicePointer_v2 = fake_device_pointer;
	real.cuLaunchKernelEx = fake_launch_ex;
	real.cuIpcGetEventHandle = fake_ipc;
	(void)new_stream(0); /* never used: its row is not among those that are looked at */
	stream = new_stream(CU_STREAM_NON_BLOCKING);
	rein_store_relaxed(&fake_kernel_ns, REIN_MS);
	rein_backlog_patience_ns = 60 * REIN_S; /* the machine may be busy */
	join();
	set_gate(REIN_GATE_METERED, 0);
}

static inline void close_points(uint64_t lease_ns)
{
	set_gate(REIN_GATE_METERED | REIN_GATE_CLOSED, lease_ns);
	rein_store_release(&points->open, 0);
}

/* Makes the time of the kernel with this grid known. */
static inline void learn(unsigned grid, uint64_t ns)
{
	uint64_t key = rein_kmodel_key(0x1000, (uint32_t[]){grid, 1, 1}, (uint32_t[]){32, 1, 1}, 0);
	for (int i = 0; i < 40; i++)
		rein_kmodel_sample(&REIN_STATUS->kmodel, key, ns, NULL);
}

static inline void launch_n(CUstream s, unsigned n, unsigned grid)
{
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(
		    hook_cuLaunchKernel((CUfunction)0x1000, grid, 1, 1, 32, 1, 1, 0, s, NULL, NULL),
		    CUDA_SUCCESS);
}

static inline uint64_t waits(void)
{
	return rein_load_relaxed(&REIN_STATUS->total.backlog_waits);
}

static inline bool offered(void)
{
	return rein_load_relaxed(&REIN_STATUS->can) & REIN_CAN_QUEUE;
}
static inline void launch_dependent_of(CUfunction f, bool is)
{
	CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
	                               .value.programmaticStreamSerializationAllowed = is};
	CUlaunchConfig config = {.gridDimX = 1,
	                         .gridDimY = 1,
	                         .gridDimZ = 1,
	                         .blockDimX = 32,
	                         .blockDimY = 1,
	                         .blockDimZ = 1,
	                         .hStream = stream,
	                         .attrs = &attribute,
	                         .numAttrs = 1};
	ck_assert_int_eq(hook_cuLaunchKernelEx(&config, f, NULL, NULL), 0);
}

static inline void launch_dependent(bool is)
{
	launch_dependent_of((CUfunction)0x1000, is);
}

static inline void *launch_one(void *s)
{
	launch_n(s, 1, 1);
	return NULL;
}

static inline bool somebody_waits(void *unused)
{
	return rein_backlog_watches() || rein_load_relaxed(&REIN_STATUS->total.backlog_waits);
}

/* 40 streams with 100 us each behind their last points are the whole backlog. */

#endif
