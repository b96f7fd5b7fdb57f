// SPDX-License-Identifier: Apache-2.0
/*
 * ctx_parked.c: does a stream that waits at a closed point of the queue gate go on soon when its
 * context has been held meanwhile? Runs under preload/rm_spy.so.
 *
 * Asks: a stream is parked in [write; wait]; its channels are held as ctx_hold.c does and let go,
 * and the word is opened before or after that. How long from the later of the two until the next
 * command of the stream has run? If it takes more than a few ms: does a submission to another
 * stream, or to this one, help? The same with nothing held, and beside another process that runs
 * short kernels all the time. Read: a word that the stream writes next, by the host's clock.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/ctx_hold.h"
#include "lib/gate.h"

#define LIMIT_S 40
#define ROUNDS 20
#define PARKED_MS 500
#define HELD_US 2000
#define PATIENCE_MS 60 /* until it is helped along */
#define RIVAL_MS 8000

WL_EMBED(gpu_kernels, GPU_FATBIN);

enum order { NOT_HELD, OPENED_FIRST, OPENED_LAST, ORDERS };
static const char *const order_name[ORDERS] = {"not_held", "opened_first", "opened_last"};
static const char *const order_text[ORDERS] = {
    "nothing was held: from opening the word",
    "the word was opened, then the context let go: from the begin of letting go",
    "the context was let go, 0.3 ms later the word was opened: from opening it"};

static struct wl_gate gate;
static CUstream stream, other;
static uint32_t count;

static bool reaches(uint32_t want, unsigned ms)
{
	uint64_t end = wl_now_ns() + ms * 1000000ull;
	while (wl_gate_get(gate.progress) != want)
		if (wl_now_ns() > end)
			return false;
	return true;
}

struct tally {
	struct wl_samples ns;
	unsigned late, by_other, by_same, refused;
};

/* Not gone on within PATIENCE_MS: what helps? */
static void help_along(struct tally *t, uint32_t want)
{
	t->late++;
	wl_gate_spin(&gate, other, 1, WL_GATE_NO_STAMP);
	if (reaches(want, PATIENCE_MS)) {
		t->by_other++;
		return;
	}
	wl_gate_spin(&gate, stream, 1, WL_GATE_NO_STAMP);
	t->by_same += reaches(want, 2000);
}

static bool one_round(struct wl_rm_group *g, enum wl_recipe recipe, enum order order,
                      struct tally *t)
{
	struct wl_hold_result r;
	uint32_t parked = ++count, next = ++count;
	wl_gate_set(gate.open, 0);
	if (wl_gate_point(&gate, stream, WL_POINT_BATCH, parked) != CUDA_SUCCESS ||
	    wl_gate_point(&gate, stream, WL_POINT_WRITE, next) != CUDA_SUCCESS ||
	    !reaches(parked, PARKED_MS))
		return false;
	usleep(300);
	if (order != NOT_HELD) {
		wl_guard_held(WL_HELD_CHANNELS);
		r = wl_hold_local(NULL, g, recipe, true);
		t->refused += !wl_hold_ok(&r);
	}
	usleep(HELD_US);
	if (order == OPENED_FIRST)
		wl_gate_set(gate.open, 1);
	uint64_t since = wl_now_ns();
	if (order != NOT_HELD) {
		r = wl_hold_local(NULL, g, recipe, false);
		t->refused += !wl_hold_ok(&r);
		wl_guard_held(WL_HELD_NOT);
	}
	if (order != OPENED_FIRST) {
		usleep(300);
		since = wl_now_ns();
		wl_gate_set(gate.open, 1);
	}
	bool soon = reaches(next, PATIENCE_MS);
	if (soon)
		wl_samples_add(&t->ns, wl_now_ns() - since);
	else
		help_along(t, next);
	return cuStreamSynchronize(stream) == CUDA_SUCCESS;
}

static bool ask(struct wl_rm_group *g, enum wl_recipe recipe, enum order order, const char *beside)
{
	struct tally t = {0};
	char id[96];
	bool ok = true;
	for (unsigned i = 0; i < ROUNDS && ok; i++)
		ok = one_round(g, recipe, order, &t);
	snprintf(id, sizeof(id), "context-gate.parked_%s_%s%s_us", wl_recipe_name[recipe],
	         order_name[order], beside);
	if (t.ns.n)
		wl_fact_samples(id, "us", &t.ns, 1e3, "%s", order_text[order]);
	snprintf(id, sizeof(id), "context-gate.parked_%s_%s%s_late", wl_recipe_name[recipe],
	         order_name[order], beside);
	wl_fact(id, t.late, "rounds",
	        "of %d not within %d ms; helped by a launch on another stream: %u, on this one: "
	        "%u; refused controls: %u",
	        ROUNDS, PATIENCE_MS, t.by_other, t.by_same, t.refused);
	wl_samples_fini(&t.ns);
	return ok;
}

int main(int argc, char **argv)
{
	static struct wl_rival rival;
	struct wl_shape shape = WL_SHAPE_DEFAULT;
	struct wl_rm_group g;
	char why[160];
	wl_shape_options(&shape, argc, argv);
	wl_guard(LIMIT_S);
	if (!wl_rival_start(&rival, gpu_kernels, &shape))
		return 1;
	if (!wl_gate_init(&gate, gpu_kernels)) {
		wl_fact_skip("context-gate.parked", "no stream memory operations here");
		wl_rival_stop(&rival);
		return WL_EXIT_SKIPPED;
	}
	stream = wl_gate_used_stream(&gate);
	other = wl_gate_used_stream(&gate);
	if (wl_rm_capture(&g, NULL, why, sizeof(why))) {
		wl_fact_skip("context-gate.parked", "%s", why);
		wl_rival_stop(&rival);
		return WL_EXIT_SKIPPED;
	}
	wl_guard_group(&g);
	static const enum wl_recipe recipes[] = {WL_HOLD_DISABLE, WL_HOLD_DISABLE_PREEMPT};
	bool ok = true;
	for (int beside = 0; beside < 2 && ok; beside++) {
		if (beside && !wl_rival_set(&rival, WL_RIVAL_SHORT, RIVAL_MS))
			break;
		for (int i = 0; i < 2; i++)
			for (int order = i ? OPENED_FIRST : NOT_HELD; order < ORDERS && ok; order++)
				ok =
				    ask(&g, recipes[i], (enum order)order, beside ? "_beside" : "");
	}
	wl_rival_stop(&rival);
	return !ok;
}
