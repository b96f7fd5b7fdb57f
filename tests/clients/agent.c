// SPDX-License-Identifier: Apache-2.0
/*
 * agent.c: a program whose GPU times somebody wants (tests/process/test_agent.c). One mode a run:
 *
 *	mix       kernels, copies, sets and graphs from two threads on four streams, then done
 *	loop      one kernel after another until SIGUSR1; a line when the first is done
 *	wait      waits for SIGUSR1 after the first, then ten more; says "too late" if the agent
 *	          outlives an exit handler that was registered before it began
 *	first     is CUPTI's subscriber before it uses CUDA, unseen by the shim; then as loop
 *	later F   as loop, but calls F of CUPTI, by which a profiler makes CUPTI its own, at
 *	          SIGUSR1, says what it got, and goes on until it is killed
 *	linked F  the same, found as a program finds it that is linked with libcupti.so.13
 *	fork      as mix, then a child that tries to use CUDA, then a line with its status
 *	capture   captures graphs and launches them until SIGUSR1
 */
#include "api_client.h"

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>

#define N 1000
#define LAUNCHES 10
#define GRAPH_NODES 3

typedef int subscribe_fn(void **subscriber, void *callback, void *arg, void *params);

static struct gpu g;

static void on_call(void *arg, int domain, uint32_t cbid, const void *data)
{
}

/* CUPTI's result; -1: there is no such function. */
static int subscribe(void *f)
{
	struct {
		size_t size;
		const char *name;
		char *incumbent;
		size_t incumbent_size;
	} params = {.size = sizeof(params), .name = "a test"};
	void *subscriber = NULL;
	subscribe_fn *call = (subscribe_fn *)f;
	return call ? call(&subscriber, (void *)on_call, NULL, &params) : -1;
}

static void *cupti(void)
{
	void *library = dlopen("libcupti.so.13", RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fprintf(stderr, "%s\n", dlerror());
	CHECK(library);
	return library;
}

/* ---- work */

static void submit_on(CUstream s, CUdeviceptr p, int *host)
{
	OK(cuMemsetD32Async(p, 7, N, s));
	for (int i = 0; i < LAUNCHES; i++)
		OK(launch(i % 2 ? g.mul : g.add, p, 1, N, s));
	OK(cuMemcpyDtoHAsync(host, p, N * sizeof(int), s));
	OK(cuMemcpyHtoDAsync(p, host, N * sizeof(int), s));
}

static CUgraphExec make_graph(CUstream s, CUdeviceptr p)
{
	CUgraph graph;
	CUgraphExec exec;
	OK(cuStreamBeginCapture(s, CU_STREAM_CAPTURE_MODE_RELAXED));
	for (int i = 0; i < GRAPH_NODES; i++)
		OK(launch(g.add, p, 1, N, s));
	OK(cuStreamEndCapture(s, &graph));
	OK(cuGraphInstantiate(&exec, graph, 0));
	OK(cuGraphDestroy(graph));
	return exec;
}

/* Two streams, and what only the default stream does. */
static void *half(void *unused)
{
	static __thread int host[2][N];
	CUstream s[2];
	CUdeviceptr p[2];
	OK(cuCtxSetCurrent(g.ctx));
	for (int i = 0; i < 2; i++) {
		OK(cuStreamCreate(&s[i], CU_STREAM_NON_BLOCKING));
		OK(cuMemAlloc(&p[i], N * sizeof(int)));
	}
	CUgraphExec exec = make_graph(s[1], p[1]);
	for (int i = 0; i < 2; i++)
		submit_on(s[i], p[i], host[i]);
	OK(cuGraphLaunch(exec, s[1]));
	OK(launch(g.add, p[1], 1, N, s[1]));
	OK(cuGraphLaunch(exec, s[1]));
	OK(cuStreamSynchronize(s[0]));
	OK(cuStreamSynchronize(s[1]));
	OK(cuMemcpyDtoH(host[0], p[0], N * sizeof(int)));
	OK(launch(g.mul, p[0], 1, N, NULL));
	OK(cuCtxSynchronize());
	return NULL;
}

static void do_mix(void)
{
	pthread_t other;
	g = gpu_open();
	CHECK(pthread_create(&other, NULL, half, NULL) == 0);
	half(NULL);
	CHECK(pthread_join(other, NULL) == 0);
}

/* SIGUSR1 has come. */
static volatile sig_atomic_t told;
static void tell(int signal)
{
	told = 1;
}

static CUdeviceptr begin_loop(void)
{
	CUdeviceptr p;
	g = gpu_open();
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(launch(g.add, p, 1, N, NULL));
	OK(cuCtxSynchronize());
	printf("runs\n");
	fflush(stdout);
	return p;
}

static void do_loop(void)
{
	for (CUdeviceptr p = begin_loop(); !told;) {
		OK(launch(g.add, p, 1, N, NULL));
		OK(cuCtxSynchronize());
	}
}

static bool agent_is_there(void)
{
	char path[300], comm[32];
	bool there = false;
	DIR *d = opendir("/proc/self/task");
	for (struct dirent *e; d && (e = readdir(d));) {
		snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", e->d_name);
		FILE *f = fopen(path, "r");
		there |= f && fscanf(f, "%31s", comm) == 1 && strcmp(comm, "rein-cupti") == 0;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return there;
}

/* Stands for the exit handlers of CUPTI's library. */
static void at_end(void)
{
	int tries = 1000;
	while (agent_is_there() && --tries)
		usleep(1000); /* it has said that it ends, and may not have yet */
	if (!tries)
		printf("too late\n");
}

static void do_wait(void)
{
	CUdeviceptr p = begin_loop();
	CHECK(atexit(at_end) == 0);
	while (!told)
		usleep(1000);
	for (int i = 0; i < LAUNCHES; i++)
		OK(launch(g.mul, p, 1, N, NULL));
	OK(cuCtxSynchronize());
}

static void do_first(void)
{
	CHECK(dlopen("libcupti.so.13", RTLD_NOW | RTLD_GLOBAL));
	CHECK(subscribe(dlsym(RTLD_DEFAULT, "cuptiSubscribe_v2")) == 0);
	do_loop();
}

/* The loader looks for what a program was linked with in the order of dlvsym(RTLD_DEFAULT), and
 * in libraries that were loaded RTLD_LOCAL after all others. */
static void *find(const char *function, bool linked)
{
	void *f = linked ? dlvsym(RTLD_DEFAULT, function, "libcupti.so.13") : NULL;
	return f ? f : dlsym(cupti(), function);
}

static void do_later(const char *function, bool linked)
{
	CUdeviceptr p = begin_loop();
	for (int result = -2;;) {
		OK(launch(g.add, p, 1, N, NULL));
		OK(cuCtxSynchronize());
		if (result != -2 || !told)
			continue;
		result = subscribe(find(function, linked));
		printf("subscribe: %d\n", result);
		fflush(stdout);
	}
}

static void do_fork(void)
{
	int status = -1;
	CUdeviceptr p;
	do_mix();
	pid_t child = fork();
	if (child == 0) /* CUDA is of no use here, but nothing hangs */
		_exit(cuInit(0) == CUDA_ERROR_NOT_INITIALIZED ? 0 : 3);
	CHECK(waitpid(child, &status, 0) == child);
	OK(cuMemAlloc(&p, N * sizeof(int)));
	OK(launch(g.add, p, 1, N, NULL));
	OK(cuCtxSynchronize());
	printf("child: %d\n", status);
}

static void do_capture(void)
{
	CUstream s;
	CUdeviceptr p = begin_loop();
	OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
	while (!told) {
		CUgraphExec exec = make_graph(s, p);
		OK(cuGraphLaunch(exec, s));
		OK(cuStreamSynchronize(s));
		OK(cuGraphExecDestroy(exec));
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	signal(SIGUSR1, tell);
	if (strcmp(mode, "mix") == 0)
		do_mix();
	else if (strcmp(mode, "loop") == 0)
		do_loop();
	else if (strcmp(mode, "wait") == 0)
		do_wait();
	else if (strcmp(mode, "first") == 0)
		do_first();
	else if (strcmp(mode, "later") == 0 && argc == 3)
		do_later(argv[2], false);
	else if (strcmp(mode, "linked") == 0 && argc == 3)
		do_later(argv[2], true);
	else if (strcmp(mode, "fork") == 0)
		do_fork();
	else if (strcmp(mode, "capture") == 0)
		do_capture();
	else
		return 2;
	printf("ok\n");
	return 0;
}
