// SPDX-License-Identifier: Apache-2.0
/*
 * rt_exit.cu: ways to leave while the GPU is in use. MODE is one of
 *   atexit       a handler registered after CUDA started launches and checks
 *   late         the first CUDA call of the process is in an atexit handler
 *   destructor   a static object's destructor makes CUDA calls; which error they give, if any,
 *                depends on what has been torn down before, and is printed, not judged
 *   pending      main returns with work queued and everything open
 *   thread       a thread ends with work queued that main then waits for
 *
 * WHAT IT ASKS of the GPU: does the program end as it does without the shim. HOW THE ANSWER IS
 * READ: exit status, output and the bytes of --dump.
 */
#include "rt.h"

#include <thread>

#define N 4096u

static uint32_t *d;
static std::vector<uint32_t> *want; /* never freed: handlers use it */

static void queue(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		rt_affine<<<rt_blocks(N), 256>>>(d, N, 2 * i + 3, i, 50);
	for (uint32_t &x : *want)
		for (unsigned i = 0; i < n; i++)
			x = rt_affine_cpu(x, 2 * i + 3, i, 50);
}

static void begin(void)
{
	rt_device();
	want = new std::vector<uint32_t>(rt_filled(N, 1));
	RT(cudaMalloc(&d, N * 4));
	RT(cudaMemcpy(d, want->data(), N * 4, cudaMemcpyHostToDevice));
	queue(200);
	RT_LAUNCHED();
}

static void check(void)
{
	std::vector<uint32_t> got(N);
	RT(cudaMemcpy(got.data(), d, N * 4, cudaMemcpyDeviceToHost));
	rt_same(got.data(), want->data(), N, rt_mode);
}

static void in_handler(void)
{
	queue(200);
	RT_LAUNCHED();
	check();
	rt_end();
}

static void late(void)
{
	begin();
	check();
	rt_end();
}

static struct last_words {
	bool speak;
	~last_words()
	{
		if (!speak)
			return;
		cudaError_t sync = cudaDeviceSynchronize();
		cudaError_t set = cudaMemset(d, 0, N * 4);
		printf("destructor: synchronise: %s, set: %s\n", cudaGetErrorName(sync),
		       cudaGetErrorName(set));
		fflush(stdout);
	}
} object;

int main(int argc, char **argv)
{
	rt_begin("rt_exit", argc, argv);
	if (!rt_mode)
		rt_mode = "atexit";
	if (strcmp(rt_mode, "late") == 0) {
		atexit(late);
		return 0;
	}
	begin();
	if (strcmp(rt_mode, "atexit") == 0) {
		atexit(in_handler);
	} else if (strcmp(rt_mode, "destructor") == 0) {
		check();
		object.speak = true;
		return rt_end();
	} else if (strcmp(rt_mode, "pending") == 0) {
		queue(500);
		RT_LAUNCHED();
	} else if (strcmp(rt_mode, "thread") == 0) {
		std::thread([] { queue(500); }).join();
		RT_LAUNCHED();
		check();
		return rt_end();
	} else {
		fprintf(stderr,
		        "usage: rt_exit [atexit|late|destructor|pending|thread] [--dump F]\n");
		return 2;
	}
	return 0;
}
