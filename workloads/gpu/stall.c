// SPDX-License-Identifier: Apache-2.0
/*
 * stall.c: does what another process asks of the driver stall this one's launches?
 *
 * WHAT IT ASKS of the GPU. One process (A) launches a short kernel and waits for it, again and
 * again, and stamps each launch call and each round trip. Another one (B: this program, executed
 * anew, with a context of its own) goes through phases: idle, then some 200 times (1.5 s at most)
 * each of cuMemAlloc+cuMemFree (64 KiB, and 256 MiB), cuMemAllocAsync+cuMemFreeAsync,
 * cuModuleLoadData+cuModuleUnload, cuMemHostAlloc+cuMemFreeHost (4 MiB), cuCtxCreate+cuCtxDestroy.
 * B runs no kernel; loading a module and setting up a context may use the GPU all the same.
 *
 * HOW THE ANSWER IS READ. A sample counts for a phase if the phase was the same before and after
 * it. smoke.stall_<phase>_us has A's round trips of the phase, smoke.stall_<phase>_p99_us the
 * figure to compare with smoke.stall_quiet_p99_us (B idle with a context) and
 * smoke.stall_alone_p99_us (no B at all); smoke.stall_<phase>_call_us is the launch call alone: if
 * only that grows, A waits for a lock of the driver; if only the rest grows, the GPU itself was
 * kept. smoke.stall_<phase>_op_us is what the operation costs B. This decides whether the gate
 * should cover the class `implicit` (allocation, free, module load …): where p99 stays near the
 * quiet phase, it need not.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "../lib/gpu.h"
#include "../lib/stats.h"
#include "lib/warm.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define BOUND_S 45
#define OPS 200 /* per phase, or more until PHASE_MIN_NS are over */
#define PHASE_MIN_NS 300000000ull
#define PHASE_MAX_NS 1500000000ull
#define QUIET_NS 1000000000ull
#define PAUSE_NS 20000000ull /* between two phases, not counted for either */
#define ELEMENTS 1024
#define BETWEEN (-1)

enum phase {
	ALONE,
	QUIET,
	MEMALLOC,
	MEMALLOC_BIG,
	MEMALLOC_ASYNC,
	MODULE,
	HOSTALLOC,
	CONTEXT,
	PHASES
};

static const char *const phase_name[PHASES] = {
    "alone",          "quiet",  "memalloc",  "memalloc_big",
    "memalloc_async", "module", "hostalloc", "context",
};

/* Shared by A and B; B writes all but `stop`. */
struct shared {
	atomic_int phase;    /* an enum phase, or BETWEEN */
	atomic_int finished; /* all phases below this one are over */
	atomic_bool done, stop;
	atomic_uint ops[PHASES];
	uint64_t op_ns[PHASES][OPS]; /* before ops[] says that they are there */
	char why[PHASES][96];        /* why a phase could not be had, or "" */
};

static struct shared *map_shared(int fd)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s == MAP_FAILED) {
		fprintf(stderr, "stall: mmap: %s\n", strerror(errno));
		exit(1);
	}
	return s;
}

/* ---------------------------------------------------------------- B: the neighbour */

static CUresult do_memory(size_t bytes)
{
	CUdeviceptr p;
	CUresult r = cuMemAlloc(&p, bytes);
	return r ? r : cuMemFree(p);
}

static CUresult do_async(CUstream s)
{
	CUdeviceptr p;
	CUresult r = cuMemAllocAsync(&p, 1 << 20, s);
	if (!r)
		r = cuMemFreeAsync(p, s);
	return r ? r : cuStreamSynchronize(s);
}

static CUresult do_module(void)
{
	CUmodule m;
	CUresult r = cuModuleLoadData(&m, gpu_kernels);
	return r ? r : cuModuleUnload(m);
}

static CUresult do_host(void)
{
	void *p;
	CUresult r = cuMemHostAlloc(&p, 4 << 20, 0);
	return r ? r : cuMemFreeHost(p);
}

static CUresult do_context(const struct wl_gpu *g)
{
	CUcontext c;
#if CUDA_VERSION >= 13000
	CUresult r = cuCtxCreate(&c, NULL, 0, g->device);
#else
	CUresult r = cuCtxCreate(&c, 0, g->device);
#endif
	if (!r)
		r = cuCtxDestroy(c);
	WL_CU(cuCtxSetCurrent, g->context);
	return r;
}

static CUresult operation(enum phase phase, const struct wl_gpu *g, CUstream stream)
{
	switch (phase) {
	case MEMALLOC:
		return do_memory(64 << 10);
	case MEMALLOC_BIG:
		return do_memory(256 << 20);
	case MEMALLOC_ASYNC:
		return do_async(stream);
	case MODULE:
		return do_module();
	case HOSTALLOC:
		return do_host();
	case CONTEXT:
		return do_context(g);
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static void neighbour_phase(struct shared *s, enum phase phase, const struct wl_gpu *g, CUstream st)
{
	/* the first one sets things up in the driver: not what is asked */
	CUresult r = phase == QUIET ? CUDA_SUCCESS : operation(phase, g, st);
	const char *name = NULL;
	wl_sleep_until(wl_now_ns() + PAUSE_NS);
	uint64_t begin = wl_now_ns();
	if (r == CUDA_SUCCESS)
		atomic_store(&s->phase, (int)phase);
	if (phase == QUIET)
		wl_sleep_until(begin + QUIET_NS);
	for (unsigned i = 0; phase != QUIET && !r; i++) {
		uint64_t now = wl_now_ns();
		if (now - begin > PHASE_MAX_NS || (i >= OPS && now - begin > PHASE_MIN_NS))
			break;
		r = operation(phase, g, st);
		if (i < OPS) {
			s->op_ns[phase][i] = wl_now_ns() - now;
			atomic_store(&s->ops[phase], i + 1);
		}
		if (atomic_load(&s->stop))
			exit(0);
	}
	atomic_store(&s->phase, BETWEEN);
	if (r == CUDA_SUCCESS)
		return;
	cuGetErrorName(r, &name);
	snprintf(s->why[phase], sizeof(s->why[phase]), "%s", name ? name : "unknown CUDA error");
}

static int neighbour(int fd)
{
	struct shared *s = map_shared(fd);
	struct wl_gpu g;
	CUstream stream;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	wl_fact_bound(BOUND_S);
	wl_gpu_open(&g, gpu_kernels);
	WL_CU(cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING);
	for (enum phase p = QUIET; p < PHASES && !atomic_load(&s->stop); p++) {
		neighbour_phase(s, p, &g, stream);
		atomic_store(&s->finished, (int)p + 1);
	}
	atomic_store(&s->done, true);
	return 0;
}

static pid_t start_neighbour(int fd)
{
	char number[16];
	char *argv[] = {"stall", "--neighbour", number, NULL};
	snprintf(number, sizeof(number), "%d", fd);
	pid_t pid = fork();
	if (pid == 0) {
		/* dies with us even where it never gets so far as to ask for it itself */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	if (pid < 0) {
		fprintf(stderr, "stall: fork: %s\n", strerror(errno));
		exit(1);
	}
	return pid;
}

/* ---------------------------------------------------------------- A: the one that may suffer */

struct victim {
	struct wl_gpu gpu;
	CUfunction step;
	CUstream stream;
	CUdeviceptr x;
	uint32_t launches;
	struct wl_samples call[PHASES], trip[PHASES];
};

static void victim_open(struct victim *v)
{
	wl_gpu_open(&v->gpu, gpu_kernels);
	v->step = wl_gpu_function(&v->gpu, "smoke_step");
	WL_CU(cuStreamCreate, &v->stream, CU_STREAM_NON_BLOCKING);
	WL_CU(cuMemAlloc, &v->x, ELEMENTS * sizeof(uint32_t));
	WL_CU(cuMemsetD32, v->x, 0, ELEMENTS);
	WL_CU(cuCtxSynchronize);
}

static void victim_round(struct victim *v, const struct shared *s)
{
	unsigned n = ELEMENTS;
	void *args[] = {&v->x, &n};
	int phase = atomic_load(&s->phase);
	uint64_t begin = wl_now_ns();
	WL_CU(cuLaunchKernel, v->step, ELEMENTS / 256, 1, 1, 256, 1, 1, 0, v->stream, args, NULL);
	uint64_t called = wl_now_ns();
	WL_CU(cuStreamSynchronize, v->stream);
	uint64_t end = wl_now_ns();
	v->launches++;
	if (phase == BETWEEN || phase != atomic_load(&s->phase))
		return;
	wl_samples_add(&v->call[phase], called - begin);
	wl_samples_add(&v->trip[phase], end - begin);
}

/* Every launch ran once: x after n steps from 0. */
static bool victim_check(struct victim *v)
{
	uint32_t got[ELEMENTS], want = 0;
	for (uint32_t i = 0; i < v->launches; i++)
		want = 3 * want + 1;
	WL_CU(cuMemcpyDtoH, got, v->x, sizeof(got));
	for (unsigned i = 0; i < ELEMENTS; i++)
		if (got[i] != want) {
			fprintf(stderr, "stall: [%u] is %u, not %u, after %u launches\n", i, got[i],
			        want, v->launches);
			return false;
		}
	return true;
}

/* ---------------------------------------------------------------- what was found */

static double p99_us(const struct wl_samples *sorted)
{
	return (double)wl_percentile(sorted->v, sorted->n, 99) / 1e3;
}

static void report(struct victim *v, struct shared *s, enum phase p)
{
	char id[64];
	struct wl_samples ops = {0};
	snprintf(id, sizeof(id), "smoke.stall_%s_us", phase_name[p]);
	if (v->trip[p].n == 0) {
		wl_fact_skip(id, "%s", s->why[p][0] ? s->why[p] : "the phase was not reached");
		return;
	}
	wl_fact_samples(id, "us", &v->trip[p], 1e3, "launch and wait, another process: %s%s%s",
	                phase_name[p], s->why[p][0] ? "; ended early: " : "", s->why[p]);
	snprintf(id, sizeof(id), "smoke.stall_%s_p99_us", phase_name[p]);
	wl_fact(id, p99_us(&v->trip[p]), "us", "of %zu; max %.1f us", v->trip[p].n,
	        (double)v->trip[p].v[v->trip[p].n - 1] / 1e3);
	snprintf(id, sizeof(id), "smoke.stall_%s_call_us", phase_name[p]);
	wl_fact_samples(id, "us", &v->call[p], 1e3, "the launch call alone");
	for (unsigned i = 0; i < atomic_load(&s->ops[p]) && i < OPS; i++)
		wl_samples_add(&ops, s->op_ns[p][i]);
	if (ops.n) {
		snprintf(id, sizeof(id), "smoke.stall_%s_op_us", phase_name[p]);
		wl_fact_samples(id, "us", &ops, 1e3,
		                "the operation and its undoing, in the other process");
	}
	wl_samples_fini(&ops);
}

static void reap(pid_t pid, struct shared *s)
{
	int status;
	atomic_store(&s->stop, true);
	for (int i = 0; i < 200; i++) { /* 2 s for it to end by itself */
		if (waitpid(pid, &status, WNOHANG) != 0)
			return;
		wl_sleep_until(wl_now_ns() + 10000000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

static int victim(void)
{
	static struct victim v;
	int fd = memfd_create("stall", 0), status;
	bool gone = false;
	if (fd < 0 || ftruncate(fd, (off_t)sizeof(struct shared)) < 0) {
		fprintf(stderr, "stall: memfd: %s\n", strerror(errno));
		return 1;
	}
	struct shared *s = map_shared(fd);
	victim_open(&v);
	atomic_store(&s->phase, BETWEEN);
	uint64_t warm = wl_now_ns() + wl_warm_ns(&v.gpu);
	for (int i = 0; i < 200 || wl_now_ns() < warm; i++)
		victim_round(&v, s);
	atomic_store(&s->phase, ALONE);
	for (uint64_t end = wl_now_ns() + QUIET_NS / 2; wl_now_ns() < end;)
		victim_round(&v, s);
	report(&v, s, ALONE);
	atomic_store(&s->phase, BETWEEN);
	pid_t pid = start_neighbour(fd);
	enum phase next = QUIET; /* to be reported: as soon as it is over */
	while (!atomic_load(&s->done) && !gone) {
		victim_round(&v, s);
		if (atomic_load(&s->finished) > (int)next)
			report(&v, s, next++);
		if (v.launches % 64 == 0)
			gone = waitpid(pid, &status, WNOHANG) == pid;
	}
	for (; next < PHASES; next++)
		report(&v, s, next);
	bool right = victim_check(&v);
	if (!gone)
		reap(pid, s);
	else if (!atomic_load(&s->done))
		fprintf(stderr, "stall: the neighbour ended early, wait status 0x%x\n",
		        (unsigned)status);
	return right && atomic_load(&s->done) ? 0 : 1;
}

int main(int argc, char **argv)
{
	wl_fact_bound(BOUND_S);
	if (argc == 3 && strcmp(argv[1], "--neighbour") == 0)
		return neighbour(atoi(argv[2]));
	if (argc > 1) {
		fprintf(stderr, "usage: stall\n");
		return 2;
	}
	return victim();
}
