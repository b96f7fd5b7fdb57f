// SPDX-License-Identifier: Apache-2.0
/*
 * queue_gate_slice.c: does a process all of whose streams wait at closed gates give up its time
 * slice?
 *
 * Asks: process B runs 100 us kernels, one after the other and a queue of them, while process A
 * is: idle; busy with its own 100 us kernels; held with 1 stream, with 3, with 1 and a second
 * stream idle; held with 1 and another stream busy.
 * Read: B's rate as a part of its rate beside the idle A: about 1 when A is held says that a
 * waiting channel yields at once; about 1/2, as when A is busy, that it burns its slice. Times
 * are launch to completion, one kernel at a time. --quick: idle, busy and held with 3 streams only,
 * for a shorter time.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/gate.h"

WL_EMBED(gpu_kernels, GPU_FATBIN);

#define LIMIT_S 25
#define KERNEL_NS 100e3
#define SINGLE_NS 400000000ull /* one kernel at a time */
#define QUEUE_NS 400000000ull
#define QUICK_PART 4 /* of these times */
#define DEPTH 16
#define STREAMS 3
#define START_LIMIT_NS 10000000000ull /* a driver's start */
#define STEP_LIMIT_NS 5000000000ull
#define SAMPLES_MAX 8192

enum what { IDLE, BUSY, HELD_1, HELD_3, HELD_1_IDLE, HELD_1_BUSY, WHATS };
static const char *const name[] = {
    "idle", "busy", "held", "held_3", "held_beside_idle", "held_beside_busy"};
static const char *const text[] = {"A idle",
                                   "A busy with 100 us kernels",
                                   "A held with one stream",
                                   "A held with three streams",
                                   "A held with one stream, another one idle",
                                   "A held with one stream, another one busy"};

/* Commands go one way (step: what to do, 1 + enum what; UINT32_MAX: end), answers the other. */
static struct shared {
	uint32_t a_step, a_ready, b_step, b_ready, skip;
	uint32_t n; /* B's samples */
	uint32_t sample_ns[SAMPLES_MAX];
	double kernels_per_s;
} * shared;

static struct wl_gate gate;
static bool quick;

/* The parent is gone or says so: a probe leaves nothing behind. */
static bool await(const uint32_t *word, uint32_t value, uint64_t limit_ns)
{
	uint64_t limit = wl_now_ns() + limit_ns;
	while (wl_gate_get(word) != value) {
		if (wl_now_ns() > limit)
			return false;
		wl_gate_idle(200000);
	}
	return true;
}

static void next_step(const uint32_t *word, uint32_t *last)
{
	while (wl_gate_get(word) == *last)
		wl_gate_idle(200000);
	*last = wl_gate_get(word);
}

static void start_gpu(uint32_t *ready)
{
	wl_fact_bound(LIMIT_S);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!wl_gate_init(&gate, gpu_kernels)) {
		wl_gate_set(&shared->skip, 1);
		wl_gate_set(ready, 1);
		_exit(0);
	}
	wl_gate_set(ready, 1);
}

/* ---- process A */

static void keep_busy(CUstream s)
{
	static CUevent done[DEPTH];
	unsigned rounds = wl_gate_rounds(&gate, KERNEL_NS);
	for (unsigned i = 0; i < DEPTH && !done[i]; i++)
		WL_CU(cuEventCreate, &done[i], CU_EVENT_DISABLE_TIMING);
	for (unsigned i = 0; i < DEPTH; i++) {
		while (cuEventQuery(done[i]) == CUDA_ERROR_NOT_READY)
			wl_gate_idle(20000);
		WL_CU(wl_gate_spin, &gate, s, rounds, WL_GATE_NO_STAMP);
		WL_CU(cuEventRecord, done[i], s);
	}
}

static void process_a(void)
{
	CUstream s[STREAMS];
	uint32_t step = 0;
	start_gpu(&shared->a_ready);
	for (int i = 0; i < STREAMS; i++)
		s[i] = wl_gate_used_stream(&gate);
	for (;;) {
		next_step(&shared->a_step, &step);
		if (step == UINT32_MAX)
			exit(0);
		unsigned what = (step - 1) % WHATS;
		unsigned held = what == HELD_3 ? 3 : what >= HELD_1 ? 1 : 0;
		wl_gate_set(gate.open, held ? 0 : 1);
		for (unsigned i = 0; i < held; i++) {
			WL_CU(wl_gate_spin, &gate, s[i], 1, WL_GATE_NO_STAMP);
			WL_CU(wl_gate_point, &gate, s[i], WL_POINT_BATCH, 1);
			WL_CU(wl_gate_spin, &gate, s[i], 1, WL_GATE_NO_STAMP);
		}
		if (what == HELD_1_IDLE) { /* it has worked, and has nothing to do now */
			WL_CU(wl_gate_spin, &gate, s[1], 1, WL_GATE_NO_STAMP);
			wl_gate_idle(1000000);
		}
		bool busy = what == BUSY || what == HELD_1_BUSY;
		if (busy)
			keep_busy(s[2]);
		wl_gate_set(&shared->a_ready, step);
		while (wl_gate_get(&shared->a_step) == step) {
			if (busy)
				keep_busy(s[2]);
			else
				wl_gate_idle(500000);
		}
		wl_gate_set(gate.open, 1);
		WL_CU(cuCtxSynchronize);
	}
}

/* ---- process B */

static void one_at_a_time(CUstream s, unsigned rounds)
{
	uint64_t end = wl_now_ns() + SINGLE_NS / (quick ? QUICK_PART : 1);
	uint32_t n = 0;
	while (n < SAMPLES_MAX && wl_now_ns() < end) {
		uint64_t start = wl_now_ns();
		WL_CU(wl_gate_spin, &gate, s, rounds, WL_GATE_NO_STAMP);
		WL_CU(cuStreamSynchronize, s);
		shared->sample_ns[n++] = (uint32_t)(wl_now_ns() - start);
	}
	shared->n = n;
}

static void queue_of_them(CUstream s, unsigned rounds)
{
	uint64_t start = wl_now_ns(), end = start + QUEUE_NS / (quick ? QUICK_PART : 1);
	unsigned n = 0;
	while (wl_now_ns() < end) {
		for (unsigned i = 0; i < DEPTH; i++)
			WL_CU(wl_gate_spin, &gate, s, rounds, WL_GATE_NO_STAMP);
		n += DEPTH;
		WL_CU(cuStreamSynchronize, s);
	}
	shared->kernels_per_s = n / ((double)(wl_now_ns() - start) / 1e9);
}

static void process_b(void)
{
	uint32_t step = 0;
	start_gpu(&shared->b_ready);
	CUstream s = wl_gate_stream();
	unsigned rounds = wl_gate_rounds(&gate, KERNEL_NS);
	for (;;) {
		next_step(&shared->b_step, &step);
		if (step == UINT32_MAX)
			exit(0);
		one_at_a_time(s, rounds);
		queue_of_them(s, rounds);
		wl_gate_set(&shared->b_ready, step);
	}
}

/* ---- the parent, which knows nothing of CUDA */

static bool measure(enum what what, uint32_t step, double *idle_rate)
{
	char id[80];
	struct wl_samples t = {0};
	wl_gate_set(&shared->a_step, step);
	if (!await(&shared->a_ready, step, STEP_LIMIT_NS))
		return false;
	wl_gate_set(&shared->b_step, step);
	if (!await(&shared->b_ready, step, STEP_LIMIT_NS))
		return false;
	for (uint32_t i = 0; i < shared->n; i++)
		wl_samples_add(&t, shared->sample_ns[i]);
	snprintf(id, sizeof(id), "queue-gate.beside_%s_us", name[what]);
	wl_fact_samples(id, "us", &t, 1e3, "a 100 us kernel of B, one at a time; %s", text[what]);
	if (what == IDLE)
		*idle_rate = shared->kernels_per_s;
	snprintf(id, sizeof(id), "queue-gate.beside_%s_rate", name[what]);
	wl_fact(id, *idle_rate > 0 ? shared->kernels_per_s / *idle_rate : 0, NULL,
	        "B's rate as a part of that beside an idle A; %.0f kernels/s; %s",
	        shared->kernels_per_s, text[what]);
	if (what == HELD_3 && *idle_rate > 0)
		wl_fact_flag("queue-gate.held_process_yields",
		             shared->kernels_per_s / *idle_rate > 0.85,
		             "true: B's rate beside A held with three streams is above 0.85");
	wl_samples_fini(&t);
	return true;
}

static pid_t start(void (*fn)(void))
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		fn();
		_exit(1);
	}
	return pid;
}

int main(int argc, char **argv)
{
	quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
	wl_fact_bound(LIMIT_S);
	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("queue_gate_slice: mmap");
		return 1;
	}
	/* one after the other: each finds the length of its kernels undisturbed */
	pid_t a = start(process_a), b = -1;
	bool ok = a > 0 && await(&shared->a_ready, 1, START_LIMIT_NS);
	if (ok)
		b = start(process_b);
	ok = ok && b > 0 && await(&shared->b_ready, 1, START_LIMIT_NS);
	bool skip = wl_gate_get(&shared->skip);
	double idle_rate = 0;
	for (unsigned i = 0; ok && !skip && i < WHATS; i++)
		if (!quick || i == IDLE || i == BUSY || i == HELD_3)
			ok = measure((enum what)i, i + 1 + WHATS, &idle_rate);
	wl_gate_set(&shared->a_step, UINT32_MAX);
	wl_gate_set(&shared->b_step, UINT32_MAX);
	wl_gate_idle(200000000);
	if (a > 0)
		kill(a, SIGKILL);
	if (b > 0)
		kill(b, SIGKILL);
	while (wait(NULL) > 0)
		;
	if (skip) {
		wl_fact_skip("queue-gate.held_process_yields", "no stream memory operations here");
		return WL_EXIT_SKIPPED;
	}
	if (!ok)
		fprintf(stderr, "queue_gate_slice: a process did not answer in time\n");
	return ok ? 0 : 1;
}
