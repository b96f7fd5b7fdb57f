// SPDX-License-Identifier: Apache-2.0
#include "rmgate.h"

#include <errno.h>
#include <linux/ioctl.h>
#include <sched.h>
#include <sys/prctl.h>

#include "../common/futex.h"
#include "../common/log.h"
#include "attach.h"
#include "point.h"
#include "probe.h"

#define LOOK_NS REIN_S          /* the thread looks by itself so often */
#define RETRY_NS (10 * REIN_MS) /* a control that lets go was refused */
#define RETRY_MAX_NS REIN_S
#define INHIBIT_WAIT_NS (2 * REIN_LEASE_NS)
#define RING_AGAIN_NS REIN_MS /* the thread may have been just about to sleep */
#define FAILURES_MAX 3        /* holds in a row that were refused */
#define LOCK_SPINS 200
#define LOCK_NAPS 500
#define LOCK_NAP_NS (20 * REIN_US)
#define THREAD_STACK (1024 * 1024)            /* as the warden's */
#define MPS_ENABLED ((CUdevice_attribute)133) /* not in the first headers of CUDA 12 */

/* What the thread is doing; who wants it to do nothing waits for FREE. */
enum { FREE, BUSY, HELD };

static rein_a64 off; /* NULL, or the text why */
static rein_a32 locked;
static struct rein_rm_table table; /* under the lock */
static rein_a32 generation;        /* table.generation, for who has no lock */
static rein_a32 armed;             /* 1: the thread is there, or is being made */
static rein_a32 joins;             /* +1 with each daemon; the thread's bed while there is none */
static rein_a32 inhibited;         /* how many forbid holds now */
static rein_a32 state;
static rein_a64 holds, failures;

/* The thread's own. */
static struct rein_rm_hold hold, slices; /* slices: shortened ones, apart from holds */
static struct rein_rm_group groups[REIN_RM_GROUPS];
static unsigned n_groups, schedule_size, seen_generation;
static uint32_t seen_slice;

/* ---------------------------------------------------------------- off */

static bool is_off(void)
{
	return rein_load_acquire(&off);
}

static void say_can(void)
{
	rein_or_seqcst(&REIN_STATUS->can, REIN_CAN_CONTEXT);
	if (is_off())
		rein_and_seqcst(&REIN_STATUS->can, ~REIN_CAN_CONTEXT);
}

/* The thread, if there is one, lets go. */
static void turn_off(const char *why)
{
	uint64_t none = 0;
	if (!rein_cas(&off, &none, (uint64_t)(uintptr_t)why))
		return;
	rein_and_seqcst(&REIN_STATUS->can, ~REIN_CAN_CONTEXT);
	rein_debug("context gate off: %s", why);
	if (rein_load_acquire(&armed))
		rein_futex_wake_all(&REIN_GATE_WORD);
}

/* ---------------------------------------------------------------- the table's lock */

static void nap(uint64_t ns)
{
	static const rein_a32 nobody;
	rein_futex_wait(&nobody, 0, rein_now_ns() + ns);
}

/* Its holder may be the thread that this signal handler interrupts, or less urgent than we are and
 * without a core: so sleep, and not for ever. */
static bool lock(void)
{
	for (unsigned i = 0; i < LOCK_SPINS + LOCK_NAPS; i++) {
		uint32_t nobody = 0;
		if (rein_cas(&locked, &nobody, 1))
			return true;
		if (i < LOCK_SPINS)
			rein_cpu_relax();
		else
			nap(LOCK_NAP_NS);
	}
	turn_off("its table is locked");
	return false;
}

static void unlock(void)
{
	rein_store_release(&generation, table.generation);
	rein_store_release(&locked, 0);
}

/* ---------------------------------------------------------------- forbidding holds */

static void forbid(void)
{
	uint64_t now = rein_now_ns(), until = now + INHIBIT_WAIT_NS;
	uint32_t s;
	rein_add_seqcst(&inhibited, 1);
	while ((s = rein_load_seqcst(&state)) != FREE && (now = rein_now_ns()) < until) {
		rein_futex_wake_all(&REIN_GATE_WORD);
		rein_futex_wait(&state, s, now + RING_AGAIN_NS);
	}
}

static void allow(void)
{
	rein_add_seqcst(&inhibited, (uint32_t)-1);
	rein_futex_wake_all(&REIN_GATE_WORD); /* it may be wanted still */
}

static void set_state(uint32_t to)
{
	struct rein_points *shown = rein_point_object();
	(void)rein_swap_seqcst(&state, to);
	if (shown) {
		rein_store_release(&shown->context_held, to == HELD);
		rein_store_relaxed(&shown->context_holds, (uint32_t)rein_load_relaxed(&holds));
	}
	if (rein_load_seqcst(&inhibited))
		rein_futex_wake_all(&state);
}

/* ---------------------------------------------------------------- the driver's calls */

/* Until the kernel has read the argument nobody knows that it can be read; so it is looked at only
 * where there is something to free. */
void rein_rmgate_before(struct rein_rm_watch *w)
{
	unsigned number = _IOC_NR(w->request);
	int saved = errno;
	if ((number != REIN_RM_ESC_FREE && number != REIN_RM_ESC_XFER) ||
	    !rein_load_acquire(&generation) || is_off() || !lock())
		goto out;
	struct rein_rm_call call = rein_rm_call_of(w->request, w->arg);
	w->frees = rein_rm_frees(&table, &call);
	unlock();
	if (!w->frees)
		goto out;
	forbid();
	if (lock()) {
		rein_rm_forget(&table, &call);
		unlock();
	}
out:
	errno = saved;
}

static uint32_t wanted_slice(void)
{
	return rein_load_acquire(&REIN_CONTROL->verdict[0].timeslice_us);
}

static void learn(const struct rein_rm_call *call, bool frees, int fd, int result)
{
	if (!lock())
		return;
	bool news = rein_rm_learn(&table, call, fd, result, frees);
	const char *spoiled = table.spoiled;
	unlock();
	if (spoiled)
		turn_off(spoiled);
	/* what is held, or has short slices, is not all any more */
	if (news && (rein_load_acquire(&state) != FREE || wanted_slice()))
		rein_futex_wake_all(&REIN_GATE_WORD);
}

void rein_rmgate_after(const struct rein_rm_watch *w, int fd, int result)
{
	int saved = errno;
	if ((w->frees || result == 0) && !is_off()) {
		struct rein_rm_call call = rein_rm_call_of(w->request, w->arg);
		if (w->frees || (rein_rm_matters(&call) && rein_rm_is_file(fd)))
			learn(&call, w->frees, fd, result);
	}
	if (w->frees)
		allow();
	errno = saved;
}

/* ---------------------------------------------------------------- the thread */

static bool lease_runs(uint64_t now, uint64_t *until)
{
	uint64_t lease = rein_load_acquire(&REIN_CONTROL->verdict[0].lease_until_ns);
	if (now >= lease)
		return false;
	if (lease < *until)
		*until = lease;
	return true;
}

/* The recipe, if we may act at all. */
static enum rein_rm_recipe allowed(void)
{
	uint32_t recipe = rein_load_relaxed(&REIN_CONTROL->context_recipe);
	bool may = !is_off() && rein_attach_on() && n_groups && recipe < REIN_RM_RECIPES;
	return may ? recipe : REIN_RM_RECIPE_OFF;
}

/* What is to be held now; recipe OFF: nothing. *until: when to look again at the latest. */
static enum rein_rm_recipe wanted(uint32_t gate, uint64_t *until)
{
	const struct rein_verdict *v = &REIN_CONTROL->verdict[0];
	enum rein_rm_recipe recipe = allowed();
	if (recipe == REIN_RM_RECIPE_TIMESLICE || rein_load_seqcst(&inhibited))
		return REIN_RM_RECIPE_OFF;
	if (!(gate & REIN_GATE_CLOSED) || rein_load_acquire(&v->hold_mode) < REIN_HOLD_CONTEXT ||
	    !lease_runs(rein_now_ns(), until))
		return REIN_RM_RECIPE_OFF;
	return recipe;
}

/* Under the lock. */
static void forget_gone(struct rein_rm_hold *h)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < h->groups; i++) {
		h->group[kept] = h->group[i];
		h->slice_us[kept] = h->slice_us[i];
		kept += rein_rm_still(&table, &h->group[kept]);
	}
	h->groups = kept;
}

/* True: what the thread knows of the groups was old. */
static bool refresh(void)
{
	uint32_t now = rein_load_acquire(&generation);
	if (now == seen_generation || !lock())
		return false;
	seen_generation = table.generation;
	schedule_size = table.schedule_size;
	n_groups = rein_rm_groups(&table, groups);
	forget_gone(&hold);
	forget_gone(&slices);
	const char *spoiled = table.spoiled;
	unlock();
	if (spoiled)
		turn_off(spoiled);
	return true;
}

static void say_refused(const char *what, const struct rein_rm_hold *h, int err)
{
	rein_debug("context gate: %s: control=0x%08x status=0x%x error=%s", what, h->failed_cmd,
	           h->failed_status, strerrorname_np(-err));
}

static void count_failure(int err)
{
	static unsigned in_a_row;
	if (!err) {
		rein_add_relaxed(&holds, 1);
		in_a_row = 0;
		return;
	}
	rein_add_relaxed(&failures, 1);
	say_refused("hold", &hold, err);
	if (++in_a_row == FAILURES_MAX)
		turn_off("its controls are refused");
}

static void fill(struct rein_rm_hold *h, enum rein_rm_recipe recipe)
{
	h->recipe = recipe;
	h->schedule_size = schedule_size;
	h->groups = n_groups;
	for (unsigned i = 0; i < n_groups; i++)
		h->group[i] = groups[i];
}

/* BUSY is set before `inhibited` is looked at, and who forbids looks at the state after. So from
 * here on nothing is freed; what has been since the groups were read shows in the generation.
 * False: look again. */
static bool begin(void)
{
	set_state(BUSY);
	if (!rein_load_seqcst(&inhibited) && rein_load_acquire(&generation) == seen_generation)
		return true;
	set_state(FREE);
	return false;
}

static bool take(enum rein_rm_recipe recipe)
{
	if (!begin())
		return false;
	fill(&hold, recipe);
	int err = rein_rm_take(&hold);
	count_failure(err);
	bool held = !err || rein_rm_let_go(&hold);
	if (held)
		REIN_PROBE(1, preempt, 1);
	set_state(held ? HELD : FREE);
	return true;
}

/* Gives the groups that time slice; 0: what they had. Unlike a hold it need not end before a group
 * is freed. Refused, they are let alone for good. False: look again. */
static bool slice(uint32_t us, bool news)
{
	static bool refused;
	us = refused ? 0 : us;
	bool left = refused && slices.groups; /* some could not be given back yet */
	if (us == slices.timeslice_us && !(us && news) && !left)
		return true;
	if (!begin())
		return false;
	int err = rein_rm_let_go(&slices);
	slices.timeslice_us = us;
	if (us && !err) {
		fill(&slices, REIN_RM_RECIPE_TIMESLICE);
		err = rein_rm_take(&slices);
	}
	if (err) {
		refused = true;
		say_refused("time slice", &slices, err);
		(void)!rein_rm_let_go(&slices);
		slices.timeslice_us = 0;
	}
	set_state(FREE);
	return true;
}

/* Until when to sleep. */
static uint64_t act(uint32_t gate, uint64_t *retry_ns)
{
	static bool resliced = true; /* since the last news */
	uint64_t until = rein_now_ns() + LOOK_NS;
	bool news = refresh();
	seen_slice = wanted_slice();
	enum rein_rm_recipe recipe = wanted(gate, &until);
	bool held = rein_load_relaxed(&state) == HELD;
	resliced = resliced && !news;
	if (held && (news || recipe != hold.recipe)) {
		if (rein_rm_let_go(&hold)) {
			*retry_ns = *retry_ns * 2 > RETRY_MAX_NS ? RETRY_MAX_NS : *retry_ns * 2;
			return rein_now_ns() + *retry_ns;
		}
		REIN_PROBE(1, preempt, 0);
		set_state(FREE);
		held = false;
	}
	*retry_ns = RETRY_NS / 2;
	if (!held && recipe != REIN_RM_RECIPE_OFF && !take(recipe))
		return rein_now_ns();
	if (rein_load_relaxed(&state) != FREE)
		return until;             /* the time slices come when it is let go */
	if (rein_load_seqcst(&inhibited)) /* who allows may ring right before we sleep */
		return rein_now_ns() + RING_AGAIN_NS;
	if (!slice(allowed() ? seen_slice : 0, !resliced))
		return rein_now_ns();
	resliced = true;
	return until;
}

/* Who changes these wakes us without changing the word on which we sleep. */
static bool is_old(void)
{
	return rein_load_acquire(&generation) != seen_generation || wanted_slice() != seen_slice;
}

static void *thread_main(void *unused)
{
	uint64_t retry_ns = RETRY_NS / 2;
	prctl(PR_SET_NAME, "rein-context");
	for (;;) {
		uint32_t bed = rein_load_seqcst(&joins);
		uint32_t gate = rein_load_acquire(&REIN_GATE_WORD);
		uint64_t until = act(gate, &retry_ns);
		if (is_old() && !is_off())
			continue;
		if (rein_attach_on() || rein_load_relaxed(&state) != FREE)
			rein_futex_wait(&REIN_GATE_WORD, gate, until);
		else
			rein_futex_wait(&joins, bed, until);
	}
	return NULL;
}

/* ---------------------------------------------------------------- coming and going */

/* Once there is a recipe, asked at each change of the table only. */
static bool has_groups(void)
{
	static rein_a32 asked;
	struct rein_rm_group found[REIN_RM_GROUPS];
	uint32_t now = rein_load_acquire(&generation);
	if (rein_load_relaxed(&asked) == now || !lock())
		return false;
	unsigned n = rein_rm_groups(&table, found);
	const char *spoiled = table.spoiled;
	unlock();
	rein_store_relaxed(&asked, now);
	if (spoiled)
		turn_off(spoiled);
	return n > 0;
}

void rein_rmgate_arm(void)
{
	uint32_t recipe = rein_load_relaxed(&REIN_CONTROL->context_recipe);
	if (REIN_LIKELY(recipe == REIN_RM_RECIPE_OFF) || recipe >= REIN_RM_RECIPES ||
	    rein_load_relaxed(&armed) || is_off() || !has_groups() || rein_swap_seqcst(&armed, 1))
		return;
	int err = rein_attach_thread(thread_main, THREAD_STACK, SCHED_FIFO);
	if (err)
		turn_off("its thread cannot be started");
	else
		say_can();
}

void rein_rmgate_device(CUdevice device)
{
	int mps = 0;
	if (rein_real_has(REIN_E_cuDeviceGetAttribute) &&
	    real.cuDeviceGetAttribute(&mps, MPS_ENABLED, device) == CUDA_SUCCESS && mps)
		turn_off("this process shares its contexts by MPS");
}

void rein_rmgate_joined(void)
{
	if (!rein_load_acquire(&armed))
		return;
	say_can();
	rein_add_seqcst(&joins, 1);
	rein_futex_wake_all(&joins);
}

void rein_rmgate_stop(void)
{
	if (rein_load_acquire(&armed))
		forbid();
}

void rein_rmgate_child(void)
{
	rein_store_release(&off, (uint64_t)(uintptr_t) "a forked child has no contexts");
	rein_store_release(&armed, 0);
	rein_store_release(&state, FREE);
}

struct rein_rmgate_state rein_rmgate_state(void)
{
	return (struct rein_rmgate_state){.armed = rein_load_acquire(&armed),
	                                  .held = rein_load_acquire(&state) == HELD,
	                                  .off = (const char *)(uintptr_t)rein_load_acquire(&off),
	                                  .holds = rein_load_relaxed(&holds),
	                                  .failures = rein_load_relaxed(&failures)};
}
