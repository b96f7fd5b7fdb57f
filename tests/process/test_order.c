// SPDX-License-Identifier: Apache-2.0
/*
 * test_order.c: where interposition usually goes wrong (tests/clients/order_program.c), by results,
 * by statuses and by the software GPU's order log: without the shim, with the gate opening and
 * closing at random, and beside a more urgent program.
 */
#include "tests/process/hammer.h"

#include <signal.h>

#define PROGRAM "tests/clients/order_program"
#define RUN_MS 60000

static struct rig rig;

enum how { BARE, HAMMERED, BESIDE_URGENT, HOWS };
static const char *const how_name[] = {"without the shim", "with the gate at random",
                                       "beside an urgent program"};

/* What one run left: its output and the order log. */
struct run {
	char *out, *log;
};

static void run_free(struct run *r)
{
	free(r->out);
	free(r->log);
}

static struct proc urgent_start(void)
{
	struct proc lc = rig_start(&rig, 50, "workloads/lc",
	                           "--seconds 300 --kernels 2 --period 5 --arrivals periodic");
	rig_expect_state(&rig, lc.pid, "", WAIT_MS);
	return lc;
}

static void urgent_end(struct proc *lc)
{
	proc_kill(lc, SIGKILL);
	proc_wait(lc, NULL, 0, WAIT_MS);
}

static struct run run_case(const char *what, enum how how)
{
	static char out[1 << 16];
	struct run r;
	struct proc lc;
	char path[160];
	size_t len;
	setenv("SOFTGPU_DEVICES", "2", 1);
	setenv("SOFTGPU_OVERRUN_SLACK", "10s", 1); /* results count here, not times */
	rig_init(&rig, "lc_step=1ms,add=300us,mul=300us");
	if (how != BARE)
		rig_daemon(&rig);
	if (how == HAMMERED)
		hammer_start(&rig);
	if (how == BESIDE_URGENT)
		lc = urgent_start();
	snprintf(path, sizeof(path), "%s/order", rig.dir);
	setenv("SOFTGPU_ORDER_LOG", path, 1);
	struct proc p = rig_start(&rig, how == BARE ? -1 : 0, PROGRAM, what);
	int rc = proc_wait(&p, out, sizeof(out), RUN_MS);
	unsetenv("SOFTGPU_ORDER_LOG");
	if (how == HAMMERED)
		hammer_end();
	if (how == BESIDE_URGENT)
		urgent_end(&lc);
	ck_assert_msg(rc == 0 && strstr(out, "ok\n"), "%s, %s: exit %d: %.3000s", what,
	              how_name[how], rc, out);
	r.out = strdup(out);
	r.log = rig_read(path, &len);
	ck_assert(r.out && r.log);
	rig_fini(&rig);
	return r;
}

/* The same order in every stream, three ways; the caller frees it. */
static char *same_order(const char *what)
{
	char *first = NULL;
	for (enum how how = BARE; how < HOWS; how++) {
		struct run r = run_case(what, how);
		char *order = order_of_run(r.out, r.log);
		if (!first)
			first = strdup(order);
		ck_assert_msg(strcmp(first, order) == 0, "%s, %s: another order:\n%.3000s", what,
		              how_name[how], order);
		free(order);
		run_free(&r);
	}
	return first;
}

/* ---------------------------------------------------------------- the cases */

/* Each copy starts after every kernel before it has ended, and later kernels start after it. */
static void check_copies(struct run *r, enum how how)
{
	unsigned long long blocking, legacy, id, start, end, copy_end = 0, kernels_end = 0;
	unsigned kernels = 0, copies = 0;
	char kind[16], name[16];
	const char *at = strstr(r->out, "@stream blocking ");
	ck_assert(at && sscanf(at, "@stream %15s %llu", name, &blocking) == 2);
	at = strstr(r->out, "@stream legacy ");
	ck_assert(at && sscanf(at, "@stream %15s %llu", name, &legacy) == 2);
	for (char *line = strtok(r->log, "\n"); line; line = strtok(NULL, "\n")) {
		ck_assert_int_eq(
		    sscanf(line, "%*d %llu %15s %*s %llu %llu", &id, kind, &start, &end), 4);
		if (id == blocking && !strcmp(kind, "kernel")) {
			ck_assert_msg(start >= copy_end, "%s: kernel %u starts before copy %u ends",
			              how_name[how], kernels, copies);
			kernels_end = end;
			kernels++;
		} else if (id == legacy && !strcmp(kind, "copy")) {
			copies++;
			ck_assert_msg(kernels == 3 * copies,
			              "%s: the driver saw copy %u after %u kernels", how_name[how],
			              copies, kernels);
			ck_assert_msg(start >= kernels_end,
			              "%s: copy %u starts before kernel %u ends", how_name[how],
			              copies, kernels);
			copy_end = end;
		}
	}
	ck_assert_uint_eq(copies, 10);
	ck_assert_uint_eq(kernels, 30);
}

TEST(a_synchronous_copy_comes_after_kernels_of_blocking_streams)
{
	for (enum how how = BARE; how < HOWS; how++) {
		struct run r = run_case("sync_copy", how);
		check_copies(&r, how);
		run_free(&r);
	}
}
TEST_END

/* As the program says it, on each kind of stream. */
TEST(what_follows_a_kernel_in_its_stream_stays_behind_it)
{
	static const char *const streams[] = {"null",         "per_thread", "blocking",
	                                      "non_blocking", "priority",   "green"};
	static const char *const round[] = {"kernel add", "kernel mul", "copy",  "host",
	                                    "host",       "copy",       "memop", "memop",
	                                    "kernel add", "copy",       "set",   "copy"};
	char *order = same_order("chains"), *p;
	for (unsigned i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		char lane[32];
		snprintf(lane, sizeof(lane), "%s : kernel", streams[i]); /* after sets */
		p = strstr(order, lane);
		ck_assert_msg(p != NULL, "nothing of stream %s in:\n%.3000s", streams[i], order);
		for (unsigned k = 0; k < 3 * sizeof(round) / sizeof(round[0]); k++) {
			const char *want = round[k % (sizeof(round) / sizeof(round[0]))];
			const char *got = strstr(p, ": ");
			ck_assert_msg(got && strncmp(got + 2, want, strlen(want)) == 0,
			              "stream %s, command %u: %.60s, not %s", streams[i], k, p,
			              want);
			p = strchr(p, '\n') + 1;
		}
	}
	free(order);
}
TEST_END

TEST(the_pointer_of_an_asynchronous_allocation_is_there_on_return)
{
	for (enum how how = BARE; how < HOWS; how++) {
		struct run r = run_case("alloc", how);
		run_free(&r);
	}
}
TEST_END

TEST(an_invalid_launch_fails_in_its_own_call_and_the_process_lives_on)
{
	free(same_order("invalid"));
}
TEST_END

/* The gate closes between the wait and what ends it, the host waits, and nobody waits for ever. */
TEST(a_stream_may_wait_for_one_that_is_held)
{
	free(same_order("cross_wait"));
}
TEST_END

/* A program that never made a stream is held like any other, and gets its turn. */
TEST(the_default_stream_is_scheduled)
{
	free(same_order("default_stream 30"));
	rig_init(&rig, "lc_step=1ms,add=300us,mul=300us");
	rig_daemon(&rig);
	struct proc lc = urgent_start(), p = rig_start(&rig, 0, PROGRAM, "default_stream");
	rig_expect_progress(&rig, p.pid, "gate_waits", 20, WAIT_MS);
	rig_expect_state(&rig, p.pid, "waiting", WAIT_MS);
	int64_t so_far = rig_counter(&rig, p.pid, "submissions");
	rig_expect_progress(&rig, p.pid, "submissions", so_far + 50, WAIT_MS);
	proc_kill(&p, SIGKILL);
	proc_wait(&p, NULL, 0, WAIT_MS);
	urgent_end(&lc);
	rig_fini(&rig);
}
TEST_END

TESTS("order", a_synchronous_copy_comes_after_kernels_of_blocking_streams,
      what_follows_a_kernel_in_its_stream_stays_behind_it,
      the_pointer_of_an_asynchronous_allocation_is_there_on_return,
      an_invalid_launch_fails_in_its_own_call_and_the_process_lives_on,
      a_stream_may_wait_for_one_that_is_held, the_default_stream_is_scheduled)
