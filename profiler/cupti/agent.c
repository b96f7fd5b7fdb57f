// SPDX-License-Identifier: Apache-2.0
/*
 * agent.c: CUPTI on and off. The order matters: first we subscribe, so that nothing is touched of a
 * CUPTI that another profiler has; the clock is registered before anything is enabled, and once in
 * a process, since each registration spoils a record. We leave it with what CUPTI's default clock
 * says, for who comes after us.
 *
 * Cost, measured on an H200 (docs/gpu-facts.md): a record 785 ns a launch, the callback that tells
 * the correlation 244 ns. External correlation IDs would cost two calls and two records a launch.
 */
#include "agent_int.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../../common/clock.h"
#include "../../common/util.h"

struct cupti_functions rein_cupti;
const struct rein_agent_host *rein_cupti_host;

static struct {
	bool bound, clocked; /* the functions are there, our clock is registered */
	void *subscriber;
	uint64_t since_ns;
	unsigned skip;
} agent;
static rein_a32 on; /* our clock is CLOCK_MONOTONIC, and calls are noted */

static const int kinds[] = {CUPTI_KIND_KERNEL, CUPTI_KIND_COPY, CUPTI_KIND_PEER_COPY,
                            CUPTI_KIND_SET, CUPTI_KIND_GRAPH};

REIN_PRINTF(4, 5) static int fail(char *why, size_t len, int err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, len, fmt, ap);
	va_end(ap);
	return err;
}

static const char *text_of(int result)
{
	const char *text = NULL;
	return rein_cupti.GetResultString(result, &text) == CUPTI_OK && text ? text
	                                                                     : "an unknown error";
}

/* ---------------------------------------------------------------- what CUPTI calls */

static uint64_t agent_clock(void)
{
	struct timespec ts;
	clock_gettime(rein_load_relaxed(&on) ? CLOCK_MONOTONIC : CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * REIN_S + (uint64_t)ts.tv_nsec;
}

/* On a thread of the program, in its driver call. */
static void on_call(void *arg, int domain, uint32_t cbid, const void *data)
{
	const struct cupti_call *call = data;
	if (call->site != CUPTI_ENTER || !rein_load_relaxed(&on))
		return;
	const struct rein_agent_ticket *t = rein_cupti_host->ticket();
	if (t->where)
		rein_correlate_note(call->correlation, t);
}

/* ---------------------------------------------------------------- the library */

static const struct {
	const char *name;
	size_t offset;
	bool needed;
} functions[] = {
#define ROW(name, needed, args) {"cupti" #name, offsetof(struct cupti_functions, name), needed},
    CUPTI_FUNCTIONS(ROW)
#undef ROW
};

/* The one that the process has, or else the one that is named, or else the loader's. */
static void *open_library(const char *library)
{
	static const char *const names[] = {"libcupti.so.13", "libcupti.so.12"};
	static const char *const places[] = {
	    "libcupti.so.13", "/usr/local/cuda/extras/CUPTI/lib64/libcupti.so.13",
	    "/usr/local/cuda/lib64/libcupti.so.13", "libcupti.so.12"};
	void *lib = NULL;
	for (unsigned i = 0; !lib && i < REIN_ARRAY_LEN(names); i++)
		lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	if (!lib && library)
		return dlopen(library, RTLD_NOW | RTLD_LOCAL);
	for (unsigned i = 0; !lib && i < REIN_ARRAY_LEN(places); i++)
		lib = dlopen(places[i], RTLD_NOW | RTLD_LOCAL);
	return lib;
}

static int bind_library(const char *library, char *why, size_t len)
{
	void *lib = open_library(library);
	if (!lib)
		return fail(why, len, -ENOENT,
		            "%s cannot be loaded; name CUPTI's library in REIN_CUPTI",
		            library ? library : "libcupti.so.13");
	for (unsigned i = 0; i < REIN_ARRAY_LEN(functions); i++) {
		void *f = rein_cupti_host->symbol(lib, functions[i].name);
		if (!f && functions[i].needed)
			return fail(why, len, -ENOENT, "this libcupti has no %s: it is too old",
			            functions[i].name);
		memcpy((char *)&rein_cupti + functions[i].offset, &f, sizeof(f));
	}
	agent.bound = true; /* and stays loaded: it calls us */
	return 0;
}

/* ---------------------------------------------------------------- on */

static int subscribe(char *why, size_t len)
{
	char incumbent[2 * CUPTI_NAME_BYTES] = "";
	struct cupti_subscriber_params p = {.size = sizeof(p),
	                                    .name = "rein",
	                                    .incumbent = incumbent,
	                                    .incumbent_size = CUPTI_NAME_BYTES};
	int r = rein_cupti.Subscribe_v2
	            ? rein_cupti.Subscribe_v2(&agent.subscriber, on_call, NULL, &p)
	            : rein_cupti.Subscribe(&agent.subscriber, on_call, NULL);
	incumbent[sizeof(incumbent) - 1] = 0;
	if (r == CUPTI_MULTIPLE_SUBSCRIBERS)
		return fail(why, len, -EBUSY, "another profiler has CUPTI%s%s",
		            incumbent[0] ? ": " : "", incumbent);
	return r ? fail(why, len, -EIO, "cuptiSubscribe: %s", text_of(r)) : 0;
}

static void set_calls(bool enable)
{
	for (unsigned i = 0; i < REIN_ARRAY_LEN(cupti_calls); i++)
		for (uint32_t id = cupti_calls[i].first; id <= cupti_calls[i].last; id++)
			(void)rein_cupti.EnableCallback(enable, agent.subscriber,
			                                CUPTI_DOMAIN_DRIVER, id);
}

/* All but the kernels' kind may be missing. */
static int enable(char *why, size_t len)
{
	int r =
	    agent.clocked ? CUPTI_OK : rein_cupti.ActivityRegisterTimestampCallback(agent_clock);
	if (r)
		return fail(why, len, -EIO, "cuptiActivityRegisterTimestampCallback: %s",
		            text_of(r));
	agent.clocked = true;
	if (rein_cupti.SetThreadIdType)
		(void)rein_cupti.SetThreadIdType(CUPTI_THREAD_IDS_SYSTEM);
	r = rein_cupti.ActivityRegisterCallbacks(rein_buffers_request, rein_buffers_complete);
	if (r)
		return fail(why, len, -EIO, "cuptiActivityRegisterCallbacks: %s", text_of(r));
	rein_store_release(&on, 1);
	set_calls(true);
	for (unsigned i = 0; i < REIN_ARRAY_LEN(kinds); i++) {
		r = rein_cupti.ActivityEnable(kinds[i]);
		if (r && kinds[i] == CUPTI_KIND_KERNEL)
			return fail(why, len, -EIO, "cuptiActivityEnable: %s", text_of(r));
	}
	return 0;
}

static void agent_stop(void)
{
	for (unsigned i = 0; i < REIN_ARRAY_LEN(kinds); i++)
		(void)rein_cupti.ActivityDisable(kinds[i]);
	set_calls(false);
	(void)rein_cupti.ActivityFlushAll(CUPTI_FLUSH_FORCED); /* every buffer comes back */
	(void)rein_buffers_read(agent.since_ns, &agent.skip);
	rein_store_release(&on, 0);
	(void)rein_cupti.Unsubscribe(agent.subscriber);
	agent.subscriber = NULL;
}

static int agent_start(const struct rein_agent_host *host, const char *library, bool late,
                       char *why, size_t len)
{
	if (host->version != REIN_AGENT_VERSION)
		return fail(why, len, -EPROTO, "librein.so is of another version");
	rein_cupti_host = host;
	int err = agent.bound ? 0 : bind_library(library, why, len);
	if (!err)
		err = subscribe(why, len);
	if (err)
		return err;
	agent.since_ns = rein_now_ns();
	agent.skip = late;
	err = enable(why, len);
	if (err)
		agent_stop();
	return err;
}

static size_t agent_flush(void)
{
	(void)rein_cupti.ActivityFlushAll(0);
	return rein_buffers_read(agent.since_ns, &agent.skip);
}

__attribute__((visibility("default"))) rein_agent_fn rein_agent;
const struct rein_agent_ops *rein_agent(uint32_t version)
{
	static const struct rein_agent_ops ops = {.version = REIN_AGENT_VERSION,
	                                          .start = agent_start,
	                                          .flush = agent_flush,
	                                          .stop = agent_stop};
	return version == REIN_AGENT_VERSION ? &ops : NULL;
}
