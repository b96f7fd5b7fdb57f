// SPDX-License-Identifier: Apache-2.0
/*
 * cupti_clock.c: are CUPTI's times of two processes comparable, and whose time do they count?
 *
 * Asks: two processes trace themselves, with CLOCK_MONOTONIC as CUPTI's clock. First they take
 * turns: one kernel of the one, then one of the other, each between two stamps of the host. Then
 * one of them runs kernels of 2 ms, one at a time, first alone, then while the other keeps the GPU
 * saturated, so that the GPU switches between the two in the middle of kernels.
 * Read: a record that lies outside its two host stamps, or that overlaps one of the other process
 * while they take turns, is an error of the clock, by that many ns. If a 2 ms kernel looks longer
 * beside the other process than alone, start..end includes the time it was switched out, and then
 * the records of the two processes overlap: a trace must split that time itself.
 *
 * Exit status 77 where CUPTI refuses (no driver of NVIDIA's).
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/cupti.h"
#include "lib/telemetry.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define LIMIT_S 50
#define STEP_LIMIT_NS 20000000000ull /* one step of the play; the first holds CUDA's start */
#define TURNS 200u                   /* of each process */
#define TURN_US 300.0
#define LONG_US 2000.0
#define SOLO 50u
#define BESIDE 120u
#define RIVAL_US 1000.0
#define RIVAL_DEPTH 8u
#define SPANS_MAX 40000u
#define INCLUDED_FACTOR 1.3

struct span {
	uint64_t before, after; /* the host's stamps; 0: not taken */
	uint64_t start, end;    /* CUPTI's */
};

enum { STEP_NONE, STEP_TURNS, STEP_SOLO, STEP_BESIDE, STEP_END };

/* Between the parent and its two children. The parent sets `step`, each child sets its `done` to
 * it when it has played it and its spans are there. */
struct stage {
	_Atomic int step;
	_Atomic unsigned turn;
	_Atomic bool rival_stops;
	uint32_t turn_work, long_work,
	    rival_work; /* iterations; player 0 finds them, undisturbed */
	struct player {
		_Atomic int done; /* the last step played; -1: failed, `why` says it */
		int status;
		char why[256];
		unsigned n;
		struct span spans[SPANS_MAX];
	} player[2];
};
static struct stage *stage;

/* ---- a child */
struct child {
	int me;
	struct player *p;
	struct wl_cupti cupti;
	struct wl_work work;
};

static _Noreturn void give_up(struct child *c, int status, const char *what, int result)
{
	if (result)
		snprintf(c->p->why, sizeof(c->p->why), "CUPTI refuses %s: %s", what,
		         wl_cupti_text(&c->cupti, result));
	else
		snprintf(c->p->why, sizeof(c->p->why), "%s", what);
	c->p->status = status;
	c->p->done = -1;
	_exit(status);
}

static void must(struct child *c, const char *what, int result)
{
	if (result != WL_CUPTI_OK)
		give_up(c, WL_EXIT_SKIPPED, what, result);
}

static void one_kernel(struct child *c, uint32_t iterations)
{
	struct span *s = &c->p->spans[c->p->n++];
	s->before = wl_now_ns();
	wl_work_launch(&c->work, iterations);
	wl_work_sync(&c->work);
	s->after = wl_now_ns();
}

static int by_start(const void *a, const void *b)
{
	const struct wl_cupti_record *x = a, *y = b;
	return (x->start > y->start) - (x->start < y->start);
}

/* What CUPTI recorded goes beside the host's stamps: one stream runs in the order of launches. */
static void collect(struct child *c)
{
	struct wl_cupti_collected got;
	must(c, "a flush", wl_cupti_take(&c->cupti, &got));
	if (got.n != c->p->n) {
		snprintf(c->p->why, sizeof(c->p->why), "%u kernels left %zu records (%zu dropped)",
		         c->p->n, got.n, got.dropped);
		give_up(c, 1, "", 0);
	}
	if (got.n)
		qsort(got.v, got.n, sizeof(got.v[0]), by_start);
	for (size_t i = 0; i < got.n; i++) {
		c->p->spans[i].start = got.v[i].start;
		c->p->spans[i].end = got.v[i].end;
	}
	free(got.v);
}

static void take_turns(struct child *c, uint32_t iterations)
{
	for (unsigned i = 0; i < TURNS; i++) {
		unsigned mine = 2 * i + (unsigned)c->me;
		uint64_t limit = wl_now_ns() + STEP_LIMIT_NS;
		while (stage->turn != mine) {
			sched_yield();
			if (wl_now_ns() > limit)
				give_up(c, 1, "the other process did not take its turn", 0);
		}
		one_kernel(c, iterations);
		stage->turn = mine + 1;
	}
}

/* Keeps the GPU busy until told to stop. */
static void rival(struct child *c, uint32_t iterations)
{
	uint64_t limit = wl_now_ns() + STEP_LIMIT_NS;
	while (!stage->rival_stops && wl_now_ns() < limit && c->p->n + RIVAL_DEPTH < SPANS_MAX) {
		for (unsigned i = 0; i < RIVAL_DEPTH; i++)
			wl_work_launch(&c->work, iterations);
		c->p->n += RIVAL_DEPTH;
		wl_work_sync(&c->work);
	}
}

static void play(struct child *c, int step)
{
	memset(c->p->spans, 0, c->p->n * sizeof(c->p->spans[0]));
	c->p->n = 0;
	if (step == STEP_TURNS)
		take_turns(c, stage->turn_work);
	for (unsigned i = 0; step == STEP_SOLO && c->me == 0 && i < SOLO; i++)
		one_kernel(c, stage->long_work);
	if (step == STEP_BESIDE && c->me == 1)
		rival(c, stage->rival_work);
	if (step == STEP_BESIDE && c->me == 0) {
		usleep(100000); /* the rival has begun by then */
		for (unsigned i = 0; i < BESIDE; i++)
			one_kernel(c, stage->long_work);
		stage->rival_stops = true;
	}
	collect(c);
}

static _Noreturn void child(int me, const char *library)
{
	static struct child c;
	c = (struct child){.me = me, .p = &stage->player[me]};
	struct wl_cupti_collected got;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	wl_fact_bound(LIMIT_S);
	if (wl_cupti_open(&c.cupti, library) != 0)
		give_up(&c, WL_EXIT_SKIPPED, c.cupti.why, 0);
	must(&c, "its buffers", wl_cupti_collect(&c.cupti));
	must(&c, "kernel records", c.cupti.ActivityEnable(WL_CUPTI_KERNEL));
	wl_work_open(&c.work, gpu_kernels);
	if (me == 0) {
		stage->turn_work = wl_work_calibrate(&c.work, TURN_US);
		stage->long_work = wl_work_calibrate(&c.work, LONG_US);
		stage->rival_work = wl_work_calibrate(&c.work, RIVAL_US);
	}
	must(&c, "a flush", wl_cupti_take(&c.cupti, &got));
	free(got.v);
	for (int step = STEP_TURNS; step < STEP_END; step++) {
		c.p->done = step - 1; /* ready for it */
		while (stage->step < step)
			usleep(200);
		play(&c, step);
	}
	c.p->done = STEP_BESIDE;
	while (stage->step < STEP_END) /* a process that ends changes what the other one measures */
		usleep(200);
	_exit(0);
}

/* ---- the parent */
static pid_t children[2];

static void end_children(void)
{
	for (int i = 0; i < 2; i++)
		if (children[i] > 0) {
			kill(children[i], SIGKILL);
			waitpid(children[i], NULL, 0);
			children[i] = 0;
		}
}

static _Noreturn void stop(int status, const char *why)
{
	end_children();
	if (status == WL_EXIT_SKIPPED)
		wl_fact_skip("telemetry.clock", "%s", why);
	else
		fprintf(stderr, "cupti_clock: %s\n", why);
	exit(status);
}

/* Until both have played that step. */
static void await(int step)
{
	uint64_t limit = wl_now_ns() + STEP_LIMIT_NS;
	for (;;) {
		bool all = true;
		for (int i = 0; i < 2; i++) {
			struct player *p = &stage->player[i];
			int done = p->done, status;
			if (done < 0)
				stop(p->status, p->why);
			all = all && done >= step;
			if (done < step && waitpid(children[i], &status, WNOHANG) == children[i]) {
				children[i] = 0;
				stop(1, p->done < 0 ? p->why : "a traced process ended too early");
			}
		}
		if (all)
			return;
		if (wl_now_ns() > limit)
			stop(1, "a step of the traced processes took longer than 20 s");
		usleep(500);
	}
}

static uint64_t beyond(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t overlap(const struct span *a, const struct span *b)
{
	uint64_t from = a->start > b->start ? a->start : b->start;
	uint64_t to = a->end < b->end ? a->end : b->end;
	return beyond(to, from);
}

static void say_samples(const char *id, struct wl_samples *s, const char *note)
{
	wl_fact_samples(id, "ns", s, 1, "%s", note);
	wl_samples_fini(s);
}

static void say_turns(void)
{
	struct wl_samples lead = {0}, tail = {0}, gap = {0};
	uint64_t outside = 0, worst = 0;
	unsigned overlaps = 0;
	const struct span *before = NULL;
	for (unsigned i = 0; i < 2 * TURNS; i++) {
		const struct span *s = &stage->player[i % 2].spans[i / 2];
		uint64_t out = beyond(s->before, s->start), late = beyond(s->end, s->after);
		outside = out > outside ? out : outside;
		outside = late > outside ? late : outside;
		wl_samples_add(&lead, beyond(s->start, s->before));
		wl_samples_add(&tail, beyond(s->after, s->end));
		if (before) {
			uint64_t both = beyond(before->end, s->start);
			worst = both > worst ? both : worst;
			overlaps += both > 0;
			wl_samples_add(&gap, beyond(s->start, before->end));
		}
		before = s;
	}
	wl_fact("telemetry.clock_outside_ns", (double)outside, "ns",
	        "the farthest that one of %u records lies outside the host's stamps around it",
	        2 * TURNS);
	wl_fact("telemetry.clock_turns_overlap_ns", (double)worst, "ns",
	        "the most that records of two processes taking turns overlap; %u of %u do",
	        overlaps, 2 * TURNS - 1);
	say_samples("telemetry.clock_lead_ns", &lead, "from before the launch to the start");
	say_samples("telemetry.clock_tail_ns", &tail, "from the end to after the synchronisation");
	say_samples("telemetry.clock_handover_ns", &gap,
	            "from one process' end to the other's start, taking turns");
}

/* The lengths of player 0's kernels by CUPTI; the host's beside them. The median by CUPTI. */
static double say_lengths(const char *id, const char *host_id, double *p90)
{
	struct wl_samples length = {0}, host = {0};
	for (unsigned i = 0; i < stage->player[0].n; i++) {
		const struct span *s = &stage->player[0].spans[i];
		wl_samples_add(&length, beyond(s->end, s->start));
		wl_samples_add(&host, s->after - s->before);
	}
	wl_sort(length.v, length.n);
	double median = (double)wl_percentile(length.v, length.n, 50);
	*p90 = (double)wl_percentile(length.v, length.n, 90);
	say_samples(id, &length, "a 2 ms kernel's end - start by CUPTI");
	say_samples(host_id, &host, "from before its launch to after its synchronisation");
	return median;
}

static void say_beside(double solo)
{
	double p90, all = 0, both = 0;
	double beside =
	    say_lengths("telemetry.clock_beside_ns", "telemetry.clock_beside_host_ns", &p90);
	const struct player *a = &stage->player[0], *b = &stage->player[1];
	unsigned j = 0;
	for (unsigned i = 0; i < a->n; i++) {
		all += (double)beyond(a->spans[i].end, a->spans[i].start);
		while (j < b->n && b->spans[j].end <= a->spans[i].start)
			j++;
		for (unsigned k = j; k < b->n && b->spans[k].start < a->spans[i].end; k++)
			both += (double)overlap(&a->spans[i], &b->spans[k]);
	}
	wl_fact(
	    "telemetry.clock_beside_overlap_share", all > 0 ? both / all : 0, NULL,
	    "of its kernels' time by CUPTI, how much is the rival's kernels' time too; the rival "
	    "ran %u",
	    b->n);
	wl_fact_flag(
	    "telemetry.clock_includes_switched_out", p90 > INCLUDED_FACTOR * solo,
	    "a 2 ms kernel's 90th percentile beside a saturating process is %.2f times its "
	    "median alone, the median %.2f times",
	    solo > 0 ? p90 / solo : 0, solo > 0 ? beside / solo : 0);
}

int main(int argc, char **argv)
{
	const char *library = NULL;
	double p90;
	if (argc == 3 && strcmp(argv[1], "--cupti") == 0) {
		library = argv[2];
	} else if (argc != 1) {
		fprintf(stderr, "usage: cupti_clock [--cupti LIBRARY]\n");
		return 2;
	}
	wl_fact_bound(LIMIT_S);
	stage =
	    mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stage == MAP_FAILED) {
		fprintf(stderr, "cupti_clock: no shared memory: %s\n", strerror(errno));
		return 1;
	}
	for (int i = 0; i < 2; i++) {
		children[i] = fork();
		if (children[i] == 0)
			child(i, library);
		if (children[i] < 0)
			stop(1, "cannot start a second process");
	}
	await(STEP_NONE);
	stage->step = STEP_TURNS;
	await(STEP_TURNS);
	say_turns();
	stage->step = STEP_SOLO;
	await(STEP_SOLO);
	double solo = say_lengths("telemetry.clock_solo_ns", "telemetry.clock_solo_host_ns", &p90);
	stage->step = STEP_BESIDE;
	await(STEP_BESIDE);
	say_beside(solo);
	stage->step = STEP_END;
	for (int i = 0; i < 2; i++)
		waitpid(children[i], NULL, 0);
	return 0;
}
