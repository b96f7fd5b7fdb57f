// SPDX-License-Identifier: Apache-2.0
#include "request.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

#include "../common/env.h"
#include "../common/futex.h"
#include "../include/rein.h"
#include "attach.h"
#include "demand.h"
#include "probe.h"
#include "resolve.h"
#include "trace.h"

#define SLOTS 256 /* open requests with an arrival and a deadline; more are counted only */
#define SLOT_TAKEN 1ull
#define SLOT_NUMBER 4096ull /* a request is its serial number * this + its slot + 2 */
#define UNSLOTTED UINT64_MAX

#define EXPORT __attribute__((visibility("default")))

rein_a32 rein_requests_open; /* the futex of rein_request_yield() too */

static struct {
	rein_a64 request; /* 0: free; SLOT_TAKEN: being filled */
	rein_a64 arrival_ns, due_ns;
} slots[SLOTS];
static rein_a32 slots_used; /* those beyond were never used */
static rein_a64 serial;
static rein_a32 unslotted; /* open ones without a slot */

static rein_a32 declares;    /* 1: some request or background thread was declared, ever */
static rein_a32 exact;       /* 1: since it became active a declared request was open */
static rein_a32 backgrounds; /* threads in the background */
static rein_a32 changes;     /* of all of the above */

static __thread bool in_background __attribute__((tls_model("initial-exec")));
static __thread uint32_t begun_here __attribute__((tls_model("initial-exec")));

/* ---------------------------------------------------------------- what is published */

static uint32_t flags_now(void)
{
	uint32_t flags = REIN_REQUEST_DECLARED;
	if (rein_load_seqcst(&exact))
		flags |= REIN_REQUEST_EXACT;
	if (rein_load_seqcst(&backgrounds) && !rein_requests_any())
		flags |= REIN_REQUEST_BACKGROUND;
	return flags;
}

static void publish_times(void)
{
	uint64_t due = 0, arrival = 0;
	unsigned n = rein_load_seqcst(&slots_used);
	for (unsigned i = 0; i < n; i++) {
		if (rein_load_seqcst(&slots[i].request) <= SLOT_TAKEN)
			continue;
		uint64_t d = rein_load_relaxed(&slots[i].due_ns);
		uint64_t a = rein_load_relaxed(&slots[i].arrival_ns);
		due = d && (!due || d < due) ? d : due;
		arrival = !arrival || a < arrival ? a : arrival;
	}
	rein_store_relaxed(&REIN_STATUS->deadline_ns, due);
	rein_store_relaxed(&REIN_STATUS->arrival_ns, arrival);
}

/* While a background thread has to yield nobody takes the fast path, which cannot tell threads. */
static void publish_yield(void)
{
	if (rein_load_seqcst(&backgrounds) && rein_requests_any())
		rein_or_seqcst(&rein_attention, REIN_ATT_YIELD);
	else
		rein_and_seqcst(&rein_attention, ~REIN_ATT_YIELD);
}

void rein_requests_publish(void)
{
	uint32_t seen;
	if (!rein_load_seqcst(&declares))
		return;
	do {
		seen = rein_load_seqcst(&changes);
		publish_times();
		publish_yield();
		rein_store_relaxed(&REIN_STATUS->requests_open,
		                   rein_load_seqcst(&rein_requests_open));
		rein_store_release(&REIN_STATUS->request_flags, flags_now());
	} while (rein_load_seqcst(&changes) != seen);
}

/* A client that is active already tells of new times and flags, at once if these decide something.
 * After `changes` was raised. */
static void tell(bool matters)
{
	if (rein_load_acquire(&rein_attention) & REIN_ATT_UNRESOLVED)
		rein_requests_publish(); /* nobody is there yet */
	else if (matters)
		rein_demand_changed();
	else
		rein_demand_publish();
}

/* An active client's deadline moves forward, or it begins to have one: others may have to stop. */
static bool is_sooner(uint64_t due)
{
	uint64_t known = rein_load_relaxed(&REIN_STATUS->deadline_ns);
	return due && (!known || due < known);
}

/* Others wait for it, and what it does now may be less urgent. */
static bool is_waited_for(void)
{
	return rein_load_relaxed(&REIN_CONTROL->flags) & REIN_CONTROL_NOTIFY_IDLE;
}

/* ---------------------------------------------------------------- beside a stand-in */

static rein_a64 passed_to; /* a const struct rein_api * */

void rein_requests_pass_to(const struct rein_api *api)
{
	rein_store_release(&passed_to, (uintptr_t)api);
}

static const struct rein_api *standin(void)
{
	return (const struct rein_api *)(uintptr_t)rein_load_acquire(&passed_to);
}

/* ---------------------------------------------------------------- on, and forked */

static bool on(void)
{
	return !(rein_load_acquire(&rein_attention) & REIN_ATT_OFF) && !rein_env_disabled();
}

/* The child of a fork has one thread, and no requests. */
static void in_child(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		rein_store_relaxed(&slots[i].request, 0);
	rein_store_relaxed(&unslotted, 0);
	rein_store_relaxed(&rein_requests_open, 0);
	rein_store_relaxed(&backgrounds, in_background ? 1 : 0);
	begun_here = 0;
}

static void declare(void)
{
	if (!rein_load_acquire(&declares) && !rein_swap_seqcst(&declares, 1))
		(void)pthread_atfork(NULL, NULL, in_child);
}

/* ---------------------------------------------------------------- threads that end */

static pthread_key_t at_exit_key;

static void thread_ends(void *unused)
{
	rein_nvtx_thread_ends();
	(void)rein_requests_background(0);
}

static void make_key(void)
{
	if (pthread_key_create(&at_exit_key, thread_ends))
		at_exit_key = PTHREAD_KEYS_MAX; /* none: setting it fails, and nothing else */
}

void rein_requests_watch_thread(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, make_key);
	(void)pthread_setspecific(at_exit_key, &at_exit_key);
}

/* ---------------------------------------------------------------- requests */

static uint64_t take_slot(uint64_t arrival_ns, uint64_t due_ns)
{
	/* an address of ours first: another copy of rein in the process gives other numbers */
	uint64_t number = ((uintptr_t)&serial >> 4) + rein_add_relaxed(&serial, 1) + 1;
	for (unsigned i = 0; i < SLOTS; i++) {
		uint64_t none = 0;
		uint32_t used = rein_load_seqcst(&slots_used);
		if (rein_load_relaxed(&slots[i].request) ||
		    !rein_cas(&slots[i].request, &none, SLOT_TAKEN))
			continue;
		rein_store_relaxed(&slots[i].arrival_ns, arrival_ns);
		rein_store_relaxed(&slots[i].due_ns, due_ns);
		(void)rein_swap_seqcst(&slots[i].request, number * SLOT_NUMBER + i + 2);
		while (used <= i && !rein_cas(&slots_used, &used, i + 1))
			;
		return number * SLOT_NUMBER + i + 2;
	}
	rein_add_seqcst(&unslotted, 1);
	return UNSLOTTED;
}

/* False: it is none that is open. */
static bool give_slot(uint64_t request)
{
	uint64_t i = request % SLOT_NUMBER - 2;
	if (request == UNSLOTTED) {
		uint32_t n = rein_load_seqcst(&unslotted);
		while (n && !rein_cas(&unslotted, &n, n - 1))
			;
		return n;
	}
	if (request <= SLOT_TAKEN || i >= SLOTS)
		return false;
	/* only one of those that end it at once gets it */
	uint64_t mine = request;
	if (!rein_cas(&slots[i].request, &mine, SLOT_TAKEN))
		return false;
	uint64_t due = rein_load_relaxed(&slots[i].due_ns);
	(void)rein_swap_seqcst(&slots[i].request, 0);
	if (due && rein_now_ns() > due)
		rein_add_relaxed(&REIN_STATUS->late, 1);
	return true;
}

uint64_t rein_requests_begin(uint64_t arrival_ns, uint64_t deadline_ns)
{
	if (standin())
		return standin()->request_begin(arrival_ns, deadline_ns);
	if (!on())
		return 0;
	int saved = errno;
	uint64_t now = rein_now_ns();
	uint64_t arrival = arrival_ns && arrival_ns < now ? arrival_ns : now;
	uint64_t due = deadline_ns ? arrival + deadline_ns : 0;
	if (due && due < arrival)
		due = UINT64_MAX;
	uint64_t request = take_slot(arrival, due);
	begun_here++;
	rein_doing.request = request;
	declare();
	bool first = rein_add_seqcst(&rein_requests_open, 1) == 0;
	rein_store_release(&exact, 1);
	rein_add_seqcst(&changes, 1);
	rein_add_relaxed(&REIN_STATUS->total.requests, 1);
	rein_trace_mark(REIN_TRACE_REQUEST_BEGIN, arrival, request, due);
	if (rein_load_acquire(&rein_attention) & REIN_ATT_UNRESOLVED || !rein_demand_active())
		tell((first && rein_load_seqcst(&backgrounds)) || is_sooner(due));
	errno = saved;
	return request;
}

void rein_requests_end(uint64_t request)
{
	if (standin())
		standin()->request_end(request);
	if (!request || !on())
		return;
	int saved = errno;
	if (rein_doing.request == request)
		rein_doing.request = 0;
	if (give_slot(request)) {
		rein_trace_mark(REIN_TRACE_REQUEST_END, 0, request, 0);
		begun_here -= begun_here > 0;
		bool last = rein_add_seqcst(&rein_requests_open, (uint32_t)-1) == 1;
		if (last && rein_load_seqcst(&backgrounds))
			rein_futex_wake_all(&rein_requests_open);
		rein_add_seqcst(&changes, 1);
		rein_demand_try_idle();
		if (!rein_demand_is_idle())
			tell((last && rein_load_seqcst(&backgrounds)) || is_waited_for());
	}
	errno = saved;
}

void rein_requests_active(void)
{
	if (!rein_load_acquire(&declares)) {
		rein_add_relaxed(&REIN_STATUS->total.requests, 1);
		return;
	}
	/* its end is exact only if a request opens before it */
	if (!rein_requests_any()) {
		rein_store_release(&exact, 0);
		rein_add_seqcst(&changes, 1);
	}
}

/* ---------------------------------------------------------------- background threads */

int rein_requests_background(int background)
{
	if (standin())
		return standin()->thread_background(background);
	bool before = in_background, after = background != 0;
	if (!on() || before == after)
		return before;
	int saved = errno;
	in_background = after;
	rein_requests_watch_thread();
	declare();
	rein_add_seqcst(&backgrounds, after ? 1 : (uint32_t)-1);
	rein_add_seqcst(&changes, 1);
	tell(!rein_demand_is_idle());
	errno = saved;
	return before;
}

/* A thread that opened a request itself does not wait for its end. */
void rein_request_yield(void)
{
	if (REIN_LIKELY(!in_background) || begun_here)
		return;
	uint64_t began = 0, until = 0;
	uint32_t open;
	while ((open = rein_load_seqcst(&rein_requests_open)) != 0) {
		uint64_t now = rein_now_ns();
		if (!began) {
			began = now;
			rein_block(REIN_PHASE_GATE, REIN_CONTROL->client_id);
			until = now + REIN_LEASE_NS;
		}
		if (now >= until)
			break;
		rein_futex_wait(&rein_requests_open, open, until);
	}
	if (!began)
		return;
	rein_resume(REIN_PHASE_GATE, rein_now_ns() - began, open != 0);
	rein_trace_wait(REIN_TRACE_GATE, REIN_TRACE_BACKGROUND | (open ? REIN_TRACE_LAPSED : 0),
	                began, REIN_TRACE_NO_STREAM, REIN_CONTROL->client_id);
	rein_add_relaxed(&REIN_STATUS->total.gate_waits, 1);
	rein_add_relaxed(&REIN_STATUS->total.gate_wait_ns, rein_now_ns() - began);
	if (open)
		rein_add_relaxed(&REIN_STATUS->total.lapses, 1);
}

/* ---------------------------------------------------------------- include/rein.h */

static int present(void)
{
	return standin() ? standin()->present() : on();
}

static int joined(void)
{
	if (standin())
		return standin()->joined();
	return on() && rein_attach_on();
}

static int priority(void)
{
	if (standin())
		return standin()->priority();
	return joined() ? (int)rein_load_acquire(&REIN_CONTROL->prio) : -1;
}

EXPORT const struct rein_api *rein_api(uint32_t version)
{
	static const struct rein_api api = {
	    .version = REIN_API_VERSION,
	    .size = sizeof(api),
	    .present = present,
	    .joined = joined,
	    .priority = priority,
	    .request_begin = rein_requests_begin,
	    .request_end = rein_requests_end,
	    .thread_background = rein_requests_background,
	};
	rein_driver_meet();
	return version && version <= REIN_API_VERSION ? &api : NULL;
}
