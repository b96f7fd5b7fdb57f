/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rein.h: what a program may tell rein about its requests. Optional: rein schedules unmodified
 * programs; one that knows when its requests arrive and end can say so, and is then scheduled by
 * that instead of by a guess. C99 and C++; nothing to link. Python needs no build step: NVTX
 * ranges do the same, see include/README.md.
 *
 * Without librein.so in the process, with REIN_DISABLE=1, and in a forked child of a CUDA process
 * each call returns at once with the value named below, and does nothing.
 *
 * Model. A *request* is open from its begin to its end, whatever the GPU does in between. While at
 * least one is open the process counts as active: less urgent programs stay held, also while this
 * one computes on the CPU. When the last one ends and the GPU has nothing left of this process, the
 * others go on at once; without declared requests they wait for the class' linger first. Requests
 * may overlap, nest, and end on another thread than they began on. Work outside of requests is
 * scheduled as in a program that declares none.
 *
 *	uint64_t request = rein_request_begin(0, 20000000);   // due in 20 ms
 *	cuLaunchKernel(…); …; cuStreamSynchronize(stream);    // any number of calls, gaps, threads
 *	rein_request_end(request);
 *
 * Bounds. A process that dies has no requests. One that opens a request and then neither submits
 * nor begins nor ends anything for its class' `patience` (default 100 ms) no longer holds others
 * without pause, and after two seconds more not at all, until it goes on (rein.conf(5)).
 *
 * Deadlines are shown by `rein ps`, and missed ones are counted. The policies edf and classes act
 * on those of a program that was granted a priority above 0 or a deadline.
 *
 * Background threads. A thread may declare that what it submits is background work: it then waits
 * before each submission while a request is open in the process (at most 100 ms each time, so that
 * a request that needs the thread's work cannot wait for ever). A process with such threads has
 * priority 0 whenever none of its requests is open, and its own priority while one is. So a hint
 * lowers the priority that was granted, and none raises it. Other levels for threads are not
 * offered: a process has one gate.
 *
 * Times are CLOCK_MONOTONIC, in nanoseconds. All functions may be called by any thread at any time,
 * before the first use of CUDA too; none changes errno. Not for signal handlers.
 */
#ifndef REIN_H
#define REIN_H

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define REIN_API_VERSION 1

/* What librein.so answers to rein_api(REIN_API_VERSION). Later versions add members at the end. */
struct rein_api {
	uint32_t version; /* REIN_API_VERSION of the library */
	uint32_t size;    /* of this struct, in the library */
	int (*present)(void);
	int (*joined)(void);
	int (*priority)(void);
	uint64_t (*request_begin)(uint64_t arrival_ns, uint64_t deadline_ns);
	void (*request_end)(uint64_t request);
	int (*thread_background)(int on);
};

#ifdef __cplusplus
}
#endif

/*
 * The library's table; NULL: there is none. Looked up once in each file that includes this, under
 * the name that librein.so exports; where rein stands in for the driver (libcuda.so.1) and is not
 * linked, it is found only once that has been loaded. C libraries before glibc 2.34 need -ldl.
 */
static inline const struct rein_api *rein_api_find(void)
{
	static const struct rein_api *found;
	static int looked;
	const struct rein_api *(*ask)(uint32_t version);
	void *symbol, *driver = NULL;
	int saved = errno;
	if (__atomic_load_n(&looked, __ATOMIC_ACQUIRE))
		return __atomic_load_n(&found, __ATOMIC_RELAXED);
	symbol = dlsym((void *)0, "rein_api"); /* (void *)0 is RTLD_DEFAULT */
	if (!symbol && (driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD)) != NULL)
		symbol = dlsym(driver, "rein_api");
	if (symbol) {
		__builtin_memcpy(&ask, &symbol, sizeof(ask));
		__atomic_store_n(&found, ask(REIN_API_VERSION), __ATOMIC_RELAXED);
	}
	if (symbol || driver)
		__atomic_store_n(&looked, 1, __ATOMIC_RELEASE);
	if (driver)
		dlclose(driver);
	errno = saved;
	return __atomic_load_n(&found, __ATOMIC_RELAXED);
}

/* 1: rein is in this process and not disabled. 0: it is not. */
static inline int rein_present(void)
{
	const struct rein_api *api = rein_api_find();
	return api ? api->present() : 0;
}

/* 1: the process has joined a daemon (it does at the first use of CUDA, and again whenever a daemon
 * comes back). 0: it runs unscheduled. */
static inline int rein_joined(void)
{
	const struct rein_api *api = rein_api_find();
	return api ? api->joined() : 0;
}

/* The priority that the daemon granted: 0 (best effort) to 99 (most urgent). -1: not joined. */
static inline int rein_priority(void)
{
	const struct rein_api *api = rein_api_find();
	return api ? api->priority() : -1;
}

/*
 * Begins a request. `arrival_ns`: when it arrived, if earlier than now; 0: now. `deadline_ns`: how
 * long after its arrival it is due; 0: no deadline. Returns what ends it; 0: nothing was begun, and
 * nothing needs to be ended.
 */
static inline uint64_t rein_request_begin(uint64_t arrival_ns, uint64_t deadline_ns)
{
	const struct rein_api *api = rein_api_find();
	return api ? api->request_begin(arrival_ns, deadline_ns) : 0;
}

/* Ends it, from any thread; anything that is no open request is ignored. Call it when the results
 * are there: after the synchronisation that waits for them. */
static inline void rein_request_end(uint64_t request)
{
	const struct rein_api *api = rein_api_find();
	if (api)
		api->request_end(request);
}

/* The calling thread's work is background work from now on (on ≠ 0), or no longer (0); ends with
 * the thread. Returns what it was before: 1 or 0. */
static inline int rein_thread_background(int on)
{
	const struct rein_api *api = rein_api_find();
	return api ? api->thread_background(on) : 0;
}

#endif
