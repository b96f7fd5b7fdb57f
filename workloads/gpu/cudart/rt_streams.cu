// SPDX-License-Identifier: Apache-2.0
/*
 * rt_streams.cu: the order of work in streams: the default stream (legacy here, per-thread in
 * rt_streams_ptds.cu, which is this file compiled so), blocking and non-blocking streams,
 * priorities, events between streams, host functions, destroying a stream with work in it.
 *
 * WHAT IT ASKS of the GPU: does work run in the order that CUDA promises. HOW THE ANSWER IS READ:
 * every step adds to the last one's result and does not commute with it, so one step out of order
 * makes the result wrong: exit status 0 and the bytes of --dump.
 */
#include "rt.h"

#include <atomic>
#include <thread>

#define N 4096u

#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
#define NAME "rt_streams_ptds"
#else
#define NAME "rt_streams"
#endif

/* step i: x → (2·i + 3)·x + i */
static void step(uint32_t *d, unsigned i, cudaStream_t s)
{
	rt_affine<<<rt_blocks(N), 256, 0, s>>>(d, N, 2 * i + 3, i, 16);
	RT_LAUNCHED();
}

static void steps_cpu(std::vector<uint32_t> &v, unsigned begin, unsigned end)
{
	for (uint32_t &x : v)
		for (unsigned i = begin; i < end; i++)
			x = rt_affine_cpu(x, 2 * i + 3, i, 16);
}

static uint32_t *filled(const std::vector<uint32_t> &v)
{
	uint32_t *d;
	RT(cudaMalloc(&d, N * 4));
	RT(cudaMemcpy(d, v.data(), N * 4, cudaMemcpyHostToDevice));
	RT(cudaDeviceSynchronize());
	return d;
}

static void finish(uint32_t *d, const std::vector<uint32_t> &want, const char *what)
{
	std::vector<uint32_t> got(N);
	RT(cudaDeviceSynchronize());
	RT(cudaMemcpy(got.data(), d, N * 4, cudaMemcpyDeviceToHost));
	rt_same(got.data(), want.data(), N, what);
	RT(cudaFree(d));
}

/* Work in the legacy stream waits for all blocking streams and they for it: alternating, no other
 * synchronisation. The default stream of a launch (legacy, or this thread's) is one of them. */
static void legacy_order(void)
{
	std::vector<uint32_t> want = rt_filled(N, 1);
	uint32_t *d = filled(want);
	cudaStream_t s[2];
	RT(cudaStreamCreate(&s[0]));
	RT(cudaStreamCreateWithFlags(&s[1], cudaStreamDefault));
	for (unsigned i = 0; i < 300; i++) {
		step(d, 3 * i, s[i % 2]);
		step(d, 3 * i + 1, cudaStreamLegacy);
		/* stream 0 is the legacy stream or, compiled per-thread, one that waits for it */
		step(d, 3 * i + 2, 0);
		step(d, 1000 + i, cudaStreamLegacy);
	}
	for (uint32_t &x : want)
		for (unsigned i = 0; i < 300; i++) {
			for (unsigned k = 3 * i; k < 3 * i + 3; k++)
				x = rt_affine_cpu(x, 2 * k + 3, k, 16);
			x = rt_affine_cpu(x, 2 * (1000 + i) + 3, 1000 + i, 16);
		}
	finish(d, want, "legacy stream");
	RT(cudaStreamDestroy(s[0]));
	RT(cudaStreamDestroy(s[1]));
}

/* Ping-pong between non-blocking streams of different priority, ordered by events alone. */
static void event_order(void)
{
	std::vector<uint32_t> want = rt_filled(N, 2);
	uint32_t *d = filled(want);
	cudaStream_t s[3];
	cudaEvent_t e[3];
	int least, greatest;
	RT(cudaDeviceGetStreamPriorityRange(&least, &greatest));
	for (unsigned i = 0; i < 3; i++) {
		int priority = i == 0 ? greatest : least;
		RT(cudaStreamCreateWithPriority(&s[i], cudaStreamNonBlocking, priority));
		RT(cudaEventCreateWithFlags(&e[i], cudaEventDisableTiming));
	}
	for (unsigned i = 0; i < 600; i++) {
		RT(cudaStreamWaitEvent(s[i % 3], e[(i + 2) % 3], 0));
		step(d, i, s[i % 3]);
		RT(cudaEventRecord(e[i % 3], s[i % 3]));
	}
	steps_cpu(want, 0, 600);
	finish(d, want, "events");
	for (unsigned i = 0; i < 3; i++) {
		RT(cudaStreamDestroy(s[i]));
		RT(cudaEventDestroy(e[i]));
	}
}

struct note {
	std::atomic<unsigned> *count;
	unsigned want;
	std::atomic<unsigned> *wrong;
};

static void CUDART_CB host_function(void *arg)
{
	struct note *n = (struct note *)arg;
	if (n->count->fetch_add(1) != n->want)
		n->wrong->fetch_add(1);
}

static void CUDART_CB callback(cudaStream_t s, cudaError_t e, void *arg)
{
	(void)s;
	if (e == cudaSuccess)
		host_function(arg);
}

static void host_functions(void)
{
	std::atomic<unsigned> count(0), wrong(0);
	std::vector<uint32_t> want = rt_filled(N, 3);
	std::vector<struct note> notes(200);
	uint32_t *d = filled(want);
	cudaStream_t s;
	RT(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
	for (unsigned i = 0; i < 200; i++) {
		notes[i] = {&count, i, &wrong};
		step(d, i, s);
		if (i % 2)
			RT(cudaLaunchHostFunc(s, host_function, &notes[i]));
		else
			RT(cudaStreamAddCallback(s, callback, &notes[i], 0));
	}
	RT(cudaStreamSynchronize(s));
	RT_TRUE(count == 200 && wrong == 0);
	steps_cpu(want, 0, 200);
	finish(d, want, "host functions");
	RT(cudaStreamDestroy(s));
}

/* Each thread's own default stream; what runs there after the thread has ended still runs. */
static void per_thread(void)
{
	std::vector<std::vector<uint32_t>> want(4);
	std::vector<std::thread> threads;
	uint32_t *d[4];
	for (unsigned t = 0; t < 4; t++) {
		want[t] = rt_filled(N, 10 + t);
		d[t] = filled(want[t]);
	}
	for (unsigned t = 0; t < 4; t++)
		threads.emplace_back([&d, t] {
			for (unsigned i = 0; i < 300; i++)
				step(d[t], t + i, t % 2 ? 0 : cudaStreamPerThread);
			if (t < 2)
				RT(cudaStreamSynchronize(cudaStreamPerThread));
		});
	for (std::thread &t : threads)
		t.join();
	for (unsigned t = 0; t < 4; t++) {
		steps_cpu(want[t], t, t + 300);
		finish(d[t], want[t], "per-thread default streams");
	}
}

static void queries_and_destruction(void)
{
	std::vector<uint32_t> want = rt_filled(N, 5);
	uint32_t *d = filled(want);
	cudaStream_t s;
	cudaEvent_t e;
	cudaError_t r;
	RT(cudaEventCreate(&e));
	for (unsigned i = 0; i < 40; i++) {
		RT(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
		step(d, i, s);
		RT(cudaEventRecord(e, s));
		if (i % 2) {
			while ((r = cudaStreamQuery(s)) == cudaErrorNotReady)
				;
			RT(r);
		}
		RT(cudaStreamDestroy(s)); /* its work still runs to its end */
		while ((r = cudaEventQuery(e)) == cudaErrorNotReady)
			;
		RT(r);
		(void)cudaGetLastError(); /* "not ready" counts as a last error */
	}
	steps_cpu(want, 0, 40);
	finish(d, want, "streams that come and go");
	RT(cudaEventDestroy(e));
}

int main(int argc, char **argv)
{
	rt_begin(NAME, argc, argv);
	rt_device();
	legacy_order();
	event_order();
	host_functions();
	per_thread();
	queries_and_destruction();
	return rt_end();
}
