// SPDX-License-Identifier: Apache-2.0
#include "agent.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "../common/env.h"
#include "../common/futex.h"
#include "../common/log.h"
#include "../profiler/cupti/agent.h"
#include "attach.h"
#include "backlog.h"
#include "elf_objects.h"
#include "helper.h"
#include "point.h"
#include "trace.h"

#define CUPTI_ERROR_NOT_INITIALIZED 15
#define SETTLE_NS (500 * REIN_MS)
#define YIELD_NS REIN_S
#define STOP_NS (200 * REIN_MS)
#define RETRY_NS (10 * REIN_MS)
#define PACE 1024u /* records, then a moment for the daemon to read them */
#define PACE_NS REIN_MS

rein_a32 rein_agent_on;

static rein_a32 state;   /* enum rein_cupti_state; ON until the thread has switched it off */
static rein_a32 leaving; /* for good: for the program's own profiler, or with the process */
static rein_a32 woken;   /* the thread's futex */
static __thread struct rein_agent_ticket ticket __attribute__((tls_model("initial-exec")));
static const struct rein_agent_ops *agent;
static unsigned written; /* since the last pause; the agent's thread */

static void set_state(enum rein_cupti_state to)
{
	(void)rein_swap_seqcst(&state, to);
	rein_futex_wake_all(&state);
	rein_agent_publish();
}

void rein_agent_publish(void)
{
	struct rein_points *page = rein_point_object();
	if (page)
		rein_store_relaxed(&page->cupti, rein_load_acquire(&state));
}

static bool wanted(void)
{
	return rein_load_acquire(&REIN_CONTROL->flags) & REIN_CONTROL_CUPTI && rein_attach_on() &&
	       !rein_load_seqcst(&leaving);
}

bool rein_agent_due(void)
{
	return rein_load_acquire(&state) == REIN_CUPTI_OFF && wanted();
}

void rein_agent_wake(void)
{
	rein_add_seqcst(&woken, 1);
	rein_futex_wake_all(&woken);
}

/* ---------------------------------------------------------------- who submits */

/* Of the device's place on the board; NULL: it is not known, or not scheduled. */
static const rein_a32 *owners_gen(uint32_t board_device)
{
	return board_device < REIN_BOARD_DEVICES_MAX ? &REIN_BOARD->device[board_device].owners_gen
	                                             : NULL;
}

void rein_agent_note(const struct rein_work *w, const struct rein_row *row, uint64_t number)
{
	uint32_t slot = rein_load_relaxed(&row->slot) % REIN_DEVICES_MAX;
	uint32_t device = rein_load_relaxed(&REIN_CONTROL->verdict[slot].board_device);
	const rein_a32 *owners = owners_gen(device);
	ticket.key = rein_backlog_key(w);
	ticket.board_device = device;
	ticket.owners_gen = owners ? rein_load_acquire(owners) : 1;
	ticket.where = rein_load_relaxed(&row->id) | number << 32;
}

void rein_agent_forget(void)
{
	ticket.where = 0;
}

static const struct rein_agent_ticket *on_ticket(void)
{
	return &ticket;
}

/* ---------------------------------------------------------------- what the GPU did */

/* A sole owner's if nobody else was active from the submission until now. */
static void learn(const struct rein_agent_activity *a)
{
	const struct rein_agent_ticket *t = &a->ticket;
	const rein_a32 *owners = owners_gen(t->board_device);
	uint64_t ns = a->end_ns - a->begin_ns;
	if (!t->where || !t->key)
		return;
	if (owners && t->owners_gen % 2 == 0 && rein_load_acquire(owners) == t->owners_gen)
		rein_kmodel_sample(&REIN_STATUS->kmodel, t->key, ns, NULL);
	else
		rein_kmodel_bound(&REIN_STATUS->kmodel, t->key, ns);
	if (a->name)
		rein_kmodel_name(&REIN_STATUS->kmodel, t->key, a->name);
}

/* The daemon reads a ring every millisecond at most: who writes more at once loses it. */
static void pause_for_reader(unsigned records)
{
	static rein_a32 nobody;
	written += records;
	if (written < PACE)
		return;
	written = 0;
	rein_futex_wait(&nobody, 0, rein_now_ns() + PACE_NS);
}

static void on_activity(const struct rein_agent_activity *a)
{
	const struct rein_agent_ticket *t = &a->ticket;
	learn(a);
	if (!rein_trace_on())
		return;
	uint32_t name = a->name ? rein_trace_entry(a->name) : 0;
	unsigned result = (unsigned)a->what | (unsigned)a->copy_kind << 8;
	rein_trace_write(rein_trace_what(REIN_TRACE_GPU, 0, result, name), a->begin_ns, a->end_ns,
	                 t->where ? t->where : REIN_TRACE_NO_STREAM, t->key, a->size,
	                 a->correlation | (uint64_t)a->stream << 32);
	pause_for_reader(1);
}

static void on_lost(uint64_t records)
{
	if (rein_trace_on())
		rein_trace_lose(records);
	pause_for_reader(PACE);
}

static const struct rein_agent_host host = {.version = REIN_AGENT_VERSION,
                                            .symbol = rein_elf_symbol,
                                            .ticket = on_ticket,
                                            .activity = on_activity,
                                            .lost = on_lost};

/* ---------------------------------------------------------------- on and off */

/* Beside the library that this is. */
static const struct rein_agent_ops *load(char *why, size_t len)
{
	char path[4096];
	Dl_info here = {0};
	if (!dladdr((void *)rein_agent_start, &here) || !here.dli_fname)
		here.dli_fname = "";
	const char *slash = strrchr(here.dli_fname, '/');
	int n =
	    snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash - here.dli_fname) + 1 : 0,
	             here.dli_fname, REIN_AGENT_FILE);
	void *lib = n > 0 && (size_t)n < sizeof(path) ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	rein_agent_fn *entry = NULL;
	void *symbol = lib ? rein_elf_symbol(lib, REIN_AGENT_SYMBOL) : NULL;
	memcpy(&entry, &symbol, sizeof(entry));
	const struct rein_agent_ops *ops = entry ? entry(REIN_AGENT_VERSION) : NULL;
	if (!ops)
		snprintf(why, len, lib ? "%s is of another version" : "%s cannot be loaded", path);
	return ops;
}

/* Not while a capture is under way: whatever CUPTI asks the driver then might spoil it. */
static void switch_off(void)
{
	static rein_a32 nobody;
	while (!rein_helper_call_begin())
		rein_futex_wait(&nobody, 0, rein_now_ns() + RETRY_NS);
	agent->stop();
	rein_store_release(&rein_agent_on, 0);
	rein_helper_call_end();
	set_state(rein_load_seqcst(&leaving) ? REIN_CUPTI_TAKEN : REIN_CUPTI_OFF);
	rein_debug("GPU times: off");
}

static void *agent_main(void *unused)
{
	CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
	uint64_t period_ns = REIN_AGENT_PERIOD_NS;
	prctl(PR_SET_NAME, "rein-cupti");
	(void)real.cuThreadExchangeStreamCaptureMode(&mode);
	for (;;) {
		uint32_t seen = rein_load_acquire(&woken);
		if (!wanted())
			break;
		rein_futex_wait(&woken, seen, rein_now_ns() + period_ns);
		bool busy = agent->flush() > 0 || !rein_demand_is_idle();
		period_ns = busy ? REIN_AGENT_PERIOD_NS : REIN_AGENT_IDLE_PERIOD_NS;
	}
	switch_off();
	return NULL;
}

static void say_why(const char *why, enum rein_cupti_state to)
{
	rein_error("no GPU times of this program: %s", why);
	set_state(to);
}

void rein_agent_start(void)
{
	static bool ends; /* it will be stopped before CUPTI's library ends */
	char why[512];
	if (!rein_agent_due())
		return;
	set_state(REIN_CUPTI_STARTING);
	if (rein_load_seqcst(&leaving)) { /* who leaves says so first, then looks at the state */
		set_state(REIN_CUPTI_TAKEN);
		return;
	}
	if (!agent && !(agent = load(why, sizeof(why)))) {
		say_why(why, REIN_CUPTI_FAILED);
		return;
	}
	int err = agent->start(&host, rein_env_filled(REIN_ENV_CUPTI), rein_rows_begun() > 0, why,
	                       sizeof(why));
	if (err) {
		say_why(why, err == -EBUSY ? REIN_CUPTI_TAKEN : REIN_CUPTI_FAILED);
		return;
	}
	/* Exit handlers run last first, so warden.c's comes after those of a library that was
	 * loaded later: too late for calls into it. */
	ends = ends || atexit(rein_agent_stop) == 0;
	rein_store_release(&rein_agent_on, 1);
	set_state(REIN_CUPTI_ON);
	rein_debug("GPU times: on");
	err = rein_attach_thread(agent_main, 0, SCHED_OTHER);
	if (!err)
		return;
	agent->stop();
	rein_store_release(&rein_agent_on, 0);
	say_why(strerrordesc_np(-err), REIN_CUPTI_FAILED);
}

void rein_agent_settle(void)
{
	uint64_t until_ns = rein_now_ns() + SETTLE_NS;
	uint32_t s;
	while (((s = rein_load_acquire(&state)) == REIN_CUPTI_STARTING || rein_agent_due()) &&
	       rein_now_ns() < until_ns)
		rein_futex_wait(&state, s, until_ns);
}

/* ---------------------------------------------------------------- letting go */

static bool ended(uint32_t s)
{
	return s != REIN_CUPTI_STARTING && s != REIN_CUPTI_ON;
}

static void leave(uint64_t patience_ns)
{
	uint64_t until_ns = rein_now_ns() + patience_ns;
	uint32_t s;
	(void)rein_swap_seqcst(&leaving, 1);
	rein_agent_wake();
	while (!ended(s = rein_load_seqcst(&state)) && rein_now_ns() < until_ns)
		rein_futex_wait(&state, s, until_ns);
}

void rein_agent_yield(void)
{
	int saved = errno;
	leave(YIELD_NS);
	if (rein_load_acquire(&state) == REIN_CUPTI_OFF)
		set_state(REIN_CUPTI_TAKEN); /* it was never on, and will not be */
	errno = saved;
}

void rein_agent_stop(void)
{
	static rein_a32 once;
	if (!rein_swap_seqcst(&once, 1))
		leave(STOP_NS);
}

void rein_agent_child(void)
{
	rein_store_relaxed(&rein_agent_on, 0);
	rein_store_relaxed(&state, REIN_CUPTI_FAILED);
	ticket.where = 0;
}

/* ---------------------------------------------------------------- who else wants CUPTI */

/* The arguments of the one that has most; x86-64 and aarch64 pass what is one too many in a
 * register that nobody reads. */
typedef int claim_fn(void *a, void *b, void *c, void *d);
static rein_a64 claimed[REIN_AGENT_CLAIMS]; /* the real ones, as the program found them */

static int claim(enum rein_agent_claim which, void *a, void *b, void *c, void *d)
{
	claim_fn *f = (claim_fn *)(uintptr_t)rein_load_acquire(&claimed[which]);
	rein_agent_yield();
	return f(a, b, c, d);
}

#define HOOK(which)                                                                                \
	static int hook_##which(void *a, void *b, void *c, void *d)                                \
	{                                                                                          \
		return claim(REIN_AGENT_##which, a, b, c, d);                                      \
	}
HOOK(SUBSCRIBE)
HOOK(SUBSCRIBE_2)
HOOK(BUFFERS)

static const struct {
	const char *name;
	claim_fn *hook;
} claims[REIN_AGENT_CLAIMS] = {
    [REIN_AGENT_SUBSCRIBE] = {"cuptiSubscribe", hook_SUBSCRIBE},
    [REIN_AGENT_SUBSCRIBE_2] = {"cuptiSubscribe_v2", hook_SUBSCRIBE_2},
    [REIN_AGENT_BUFFERS] = {"cuptiActivityRegisterCallbacks", hook_BUFFERS},
};

bool rein_agent_is_claim(const char *name)
{
	for (unsigned i = 0; i < REIN_AGENT_CLAIMS; i++)
		if (strcmp(name, claims[i].name) == 0)
			return true;
	return false;
}

/* A second CUPTI in the process is left alone. */
void *rein_agent_instead(const char *name, void *real_one)
{
	for (unsigned i = 0; real_one && i < REIN_AGENT_CLAIMS; i++) {
		uint64_t known = 0;
		if (strcmp(name, claims[i].name) != 0)
			continue;
		if (rein_cas(&claimed[i], &known, (uintptr_t)real_one) ||
		    known == (uintptr_t)real_one)
			return (void *)claims[i].hook;
	}
	return real_one;
}

int rein_agent_linked(const char *library, enum rein_agent_claim which, void *a, void *b, void *c,
                      void *d)
{
	void *handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
	claim_fn *f = handle ? (claim_fn *)rein_elf_symbol(handle, claims[which].name) : NULL;
	if (!rein_env_disabled())
		rein_agent_yield();
	int result = f ? f(a, b, c, d) : CUPTI_ERROR_NOT_INITIALIZED;
	if (handle)
		dlclose(handle);
	return result;
}
