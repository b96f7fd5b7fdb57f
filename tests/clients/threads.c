// SPDX-License-Identifier: Apache-2.0
/*
 * threads.c: many threads, forked workers, several contexts and devices, while the gate closes and
 * opens (puppet_client.h).
 *   many               64 threads submit at once, the gate opens and closes at random; exact
 * results brief              threads that submit and end, one after another, on their default
 * streams dies               CUDA is first used by a thread that ends; its streams live on workers
 * forked workers without CUDA feed the parent, which goes on (as data loaders do) held-fork a fork
 * while another thread waits at the gate exec               forked children that exec this program,
 * which uses CUDA of its own before             a child, forked before anything, and its parent
 * both use CUDA contexts           three contexts of one device, each with threads of its own
 *   devices            two devices: held on both together
 *   step DEVICES N     N steps on each of these devices ("0", "1", "01"), then the end
 *   busy DEVICE        steps without end
 */
#include "puppet_client.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/wait.h>

#define N 512
#define BYTES (N * sizeof(int))
#define MANY 64
#define ROUNDS 60

static struct gpu g;

static void start_thread(pthread_t *t, void *(*main)(void *), void *arg)
{
	CHECK(pthread_create(t, NULL, main, arg) == 0);
}

/* ---------------------------------------------------------------- threads */

static CUdeviceptr shared;
static CUstream shared_stream;

static void *one_of_many(void *arg)
{
	CUdeviceptr own;
	CUstream s;
	int me = (int)(intptr_t)arg, host[N];
	OK(cuCtxSetCurrent(g.ctx));
	OK(cuMemAlloc(&own, BYTES));
	OK(cuStreamCreate(&s, me % 2 ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT));
	OK(cuMemsetD32Async(own, (unsigned)me, N, s));
	for (int i = 0; i < ROUNDS; i++) {
		OK(launch(g.add, own, 1, N, s));
		OK(launch(g.add, shared, 1, N, shared_stream));
		if (i % 8 == me % 8)
			OK(cuStreamSynchronize(s));
		if (i % 8 == 3)
			OK(cuMemcpyDtoHAsync(host, own, BYTES, s));
	}
	OK(cuStreamSynchronize(s));
	OK(launch(g.add, own, 1, N, CU_STREAM_PER_THREAD));
	OK(cuStreamSynchronize(CU_STREAM_PER_THREAD));
	OK(cuMemcpyDtoH(host, own, BYTES));
	for (int i = 0; i < N; i++)
		CHECK(host[i] == me + ROUNDS + 1);
	OK(cuStreamDestroy(s));
	OK(cuMemFree(own));
	return arg;
}

static void many(void)
{
	pthread_t t[MANY];
	OK(cuMemAlloc(&shared, BYTES));
	OK(cuMemsetD32(shared, 0, N));
	OK(cuStreamCreate(&shared_stream, CU_STREAM_NON_BLOCKING));
	OK(cuCtxSynchronize());
	(void)ask('r');
	for (int i = 0; i < MANY; i++)
		start_thread(&t[i], one_of_many, (void *)(intptr_t)i);
	for (int i = 0; i < MANY; i++)
		pthread_join(t[i], NULL);
	(void)ask('R');
	EXPECT_ALL(shared, MANY * ROUNDS, N);
}

static void *submit_and_end(void *arg)
{
	OK(cuCtxSetCurrent(g.ctx));
	OK(launch(g.add, shared, 1, N, CU_STREAM_PER_THREAD));
	return arg;
}

static void brief(void)
{
	pthread_t t;
	OK(cuMemAlloc(&shared, BYTES));
	OK(cuMemsetD32(shared, 0, N));
	(void)ask('r');
	for (int i = 0; i < 1500; i++) { /* more than the shim has rows for */
		start_thread(&t, submit_and_end, NULL);
		pthread_join(t, NULL);
		if (i % 50 == 0)
			OK(cuCtxSynchronize()); /* the order of such streams is not defined */
	}
	(void)ask('R');
	OK(cuCtxSynchronize());
}

static void *first_user(void *arg)
{
	g = gpu_open();
	OK(cuMemAlloc(&shared, BYTES));
	OK(cuMemsetD32(shared, 7, N));
	OK(cuCtxSynchronize()); /* the stream does not wait for the default one */
	OK(cuStreamCreate(&shared_stream, CU_STREAM_NON_BLOCKING));
	for (int i = 0; i < 10; i++)
		OK(launch(g.add, shared, 1, N, shared_stream));
	HELD(launch(g.add, shared, 1, N, shared_stream));
	return arg;
}

static void dies(void)
{
	pthread_t t;
	CUcontext current;
	start_thread(&t, first_user, NULL);
	pthread_join(t, NULL);
	OK(cuCtxGetCurrent(&current));
	CHECK(current == NULL);
	OK(cuCtxSetCurrent(g.ctx));
	HELD(launch(g.add, shared, 1, N, shared_stream));
	OK(cuStreamSynchronize(shared_stream));
	HELD(launch(g.add, shared, 1, N, NULL));
	EXPECT_ALL(shared, 20, N);
	CHECK(ask('a') != 'y');
}

/* ---------------------------------------------------------------- forks */

#define WORKERS 4
#define BATCHES 25

/* As a data loader's worker: no CUDA, batches into a pipe, ends as programs do. */
static void worker(int me, int to)
{
	int batch[N];
	for (int b = 0; b < BATCHES; b++) {
		for (int i = 0; i < N; i++)
			batch[i] = me + b;
		CHECK(write(to, batch, BYTES) == (ssize_t)BYTES);
	}
	exit(0);
}

static void workers(void)
{
	CUdeviceptr p;
	int from[WORKERS], batch[N], sum = 0;
	pid_t pid[WORKERS];
	OK(cuMemAlloc(&p, BYTES));
	(void)ask('r');
	for (int w = 0; w < WORKERS; w++) {
		int ends[2];
		CHECK(pipe(ends) == 0);
		OK(launch(g.add, p, 0, N, NULL)); /* there is work under way when it forks */
		pid[w] = fork();
		CHECK(pid[w] >= 0);
		if (pid[w] == 0) {
			close(ends[0]);
			worker(w, ends[1]);
		}
		close(ends[1]);
		from[w] = ends[0];
	}
	for (int b = 0; b < BATCHES; b++)
		for (int w = 0; w < WORKERS; w++) {
			size_t got = 0;
			while (got < BYTES) {
				ssize_t n = read(from[w], (char *)batch + got, BYTES - got);
				CHECK(n > 0);
				got += (size_t)n;
			}
			OK(cuMemcpyHtoD(p, batch, BYTES));
			OK(launch(g.mul, p, 2, N, NULL));
			OK(cuMemcpyDtoH(batch, p, BYTES));
			CHECK(batch[N - 1] == 2 * (w + b));
			sum += batch[0];
		}
	CHECK(sum ==
	      2 * (BATCHES * WORKERS * (WORKERS - 1) / 2 + WORKERS * BATCHES * (BATCHES - 1) / 2));
	for (int w = 0; w < WORKERS; w++) {
		int status;
		CHECK(waitpid(pid[w], &status, 0) == pid[w] && status == 0);
	}
	(void)ask('R');
}

static void expect_child(pid_t pid)
{
	int status = -1;
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void *wait_at_the_gate(void *arg)
{
	OK(cuCtxSetCurrent(g.ctx));
	OK(launch(g.add, shared, 1, N, NULL));
	return arg;
}

/* The child is not held, whatever the parent's gate says, and gets the driver's own answers. */
static void child_of_a_held_one(void)
{
	CUdeviceptr p;
	EXPECT(CUDA_ERROR_NOT_INITIALIZED, launch(g.add, shared, 1, N, NULL));
	EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuMemAlloc(&p, 4));
	EXPECT(CUDA_ERROR_NOT_INITIALIZED, cuCtxSynchronize());
	exit(0);
}

static void held_fork(void)
{
	pthread_t t;
	OK(cuMemAlloc(&shared, BYTES));
	OK(cuMemsetD32(shared, 0, N));
	for (int i = 0; i < 5; i++) {
		(void)ask('C'); /* closed until it is told otherwise */
		start_thread(&t, wait_at_the_gate, NULL);
		while (ask('w') == 'n')
			usleep(1000);
		pid_t pid = fork();
		if (pid == 0)
			child_of_a_held_one();
		expect_child(pid);
		(void)ask('o');
		pthread_join(t, NULL);
	}
	EXPECT_ALL(shared, 5, N);
}

static void exec_children(char *self)
{
	OK(cuMemAlloc(&shared, BYTES));
	OK(cuMemsetD32(shared, 0, N));
	(void)ask('r');
	for (int i = 0; i < 3; i++) {
		OK(launch(g.add, shared, 1, N, NULL));
		pid_t pid = fork();
		if (pid == 0) {
			execl(self, self, "step", "0", "40", (char *)NULL);
			_exit(127);
		}
		for (int k = 0; k < 20; k++)
			OK(launch(g.add, shared, 1, N, NULL));
		expect_child(pid);
	}
	(void)ask('R');
	EXPECT_ALL(shared, 63, N);
}

/* ---------------------------------------------------------------- contexts and devices */

static void work_here(int device, int steps)
{
	CUdeviceptr p;
	CUmodule m;
	CUfunction add;
	CUdevice d;
	OK(cuCtxGetDevice(&d));
	CHECK(d == device);
	OK(cuModuleLoadData(&m, kernels_ptx));
	OK(cuModuleGetFunction(&add, m, "add"));
	OK(cuMemAlloc(&p, BYTES));
	OK(cuMemsetD32(p, 0, N));
	for (int i = 0; i < steps; i++) {
		OK(launch(add, p, 1, N, NULL));
		if (i % 4 == 3)
			OK(cuStreamSynchronize(NULL));
	}
	EXPECT_ALL(p, steps, N);
	OK(cuMemFree(p));
	OK(cuModuleUnload(m));
}

static void *in_context(void *ctx)
{
	OK(cuCtxSetCurrent(ctx));
	work_here(0, 60);
	return NULL;
}

static void contexts(void)
{
	CUcontext ctx[3] = {g.ctx};
	pthread_t t[6];
	OK(cuCtxCreate(&ctx[1], NULL, 0, 0));
	OK(cuCtxCreate(&ctx[2], NULL, 0, 0));
	OK(cuCtxSetCurrent(g.ctx));
	(void)ask('r');
	for (int i = 0; i < 6; i++)
		start_thread(&t[i], in_context, ctx[i % 3]);
	for (int i = 0; i < 40; i++) { /* and a thread that goes from one to the next */
		OK(cuCtxPushCurrent(ctx[i % 3]));
		work_here(0, 2);
		OK(cuCtxPopCurrent(NULL));
	}
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	(void)ask('R');
	OK(cuCtxDestroy(ctx[1]));
	OK(cuCtxDestroy(ctx[2]));
	OK(cuCtxSetCurrent(g.ctx));
	work_here(0, 4);
	CHECK(ask('a') != 'y'); /* nothing of the other contexts is left to wait for */
}

static CUcontext context_of(int device)
{
	CUcontext ctx;
	OK(cuDevicePrimaryCtxRetain(&ctx, device));
	return ctx;
}

static void *on_second(void *ctx)
{
	OK(cuCtxSetCurrent(ctx));
	work_here(1, 100);
	return NULL;
}

/* One job: whichever device the work is for, the process is held as a whole. */
static void devices(void)
{
	pthread_t t;
	CUcontext ctx[2] = {g.ctx, context_of(1)}, second = ctx[1];
	for (int i = 1; i >= 0; i--) {
		CUdeviceptr p;
		CUstream s;
		OK(cuCtxSetCurrent(ctx[i]));
		OK(cuMemAlloc(&p, BYTES));
		OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
		HELD(cuMemsetD32Async(p, 0, N, s));
		HELD(cuMemsetD32(p, 0, N));
		OK(cuCtxSynchronize());
		OK(cuMemFree(p));
	}
	(void)ask('r');
	start_thread(&t, on_second, second);
	work_here(0, 100);
	pthread_join(t, NULL);
	(void)ask('R');
	CHECK(ask('2') != 'n'); /* both were declared */
}

static void steps(const char *which, int n)
{
	for (; *which; which++) {
		OK(cuCtxSetCurrent(context_of(*which - '0')));
		work_here(*which - '0', n);
	}
}

static void busy(int device)
{
	CUdeviceptr p;
	CUmodule m;
	CUfunction add;
	OK(cuCtxSetCurrent(context_of(device)));
	OK(cuModuleLoadData(&m, kernels_ptx));
	OK(cuModuleGetFunction(&add, m, "add"));
	OK(cuMemAlloc(&p, BYTES));
	for (;;) {
		OK(launch(add, p, 1, N, NULL));
		OK(cuStreamSynchronize(NULL));
	}
}

/* ---------------------------------------------------------------- which */

static void before(void)
{
	pid_t pid = fork();
	g = gpu_open();
	work_here(0, 50);
	if (pid == 0)
		exit(0);
	expect_child(pid);
	work_here(0, 50);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "many";
	if (strcmp(how, "dies") == 0) {
		dies();
	} else if (strcmp(how, "before") == 0) {
		before();
	} else if (strcmp(how, "step") == 0 && argc > 3) {
		OK(cuInit(0));
		steps(argv[2], atoi(argv[3]));
	} else if (strcmp(how, "busy") == 0 && argc > 2) {
		OK(cuInit(0));
		busy(atoi(argv[2]));
	} else {
		g = gpu_open();
		if (strcmp(how, "many") == 0)
			many();
		else if (strcmp(how, "brief") == 0)
			brief();
		else if (strcmp(how, "workers") == 0)
			workers();
		else if (strcmp(how, "held-fork") == 0)
			held_fork();
		else if (strcmp(how, "exec") == 0)
			exec_children(argv[0]);
		else if (strcmp(how, "contexts") == 0)
			contexts();
		else if (strcmp(how, "devices") == 0)
			devices();
		else
			return 2;
	}
	puts("ok");
	return 0;
}
