// SPDX-License-Identifier: Apache-2.0
/*
 * test_random.c: random CUDA programs (tests/clients/random_program.c) give under the shim what
 * they give without it: every status, every byte, every stream's order, while the gate opens and
 * closes at random moments: a client without a GPU joins the daemon as the most urgent one and
 * comes and goes.
 *
 * REIN_RANDOM_SEEDS=N    how many programs (default 40), from REIN_RANDOM_FIRST (1) on
 * REIN_RANDOM_SEED=K     only this one
 * REIN_RANDOM_CALLS=N    so many calls of it: fewer show where it goes wrong
 * CK_TIMEOUT_MULTIPLIER=20   for a thousand seeds, which take more than the two minutes of a test
 */
#include "tests/process/hammer.h"

#define CALLS "400"
#define RUN_MS 120000

static struct rig rig;

/* ---------------------------------------------------------------- what a run shows */

/* And what the shim says. */
static void drop_stream_lines(char *text)
{
	char *to = text;
	for (char *line = text, *next; *line; line = next) {
		next = strchr(line, '\n');
		next = next ? next + 1 : line + strlen(line);
		size_t n = (size_t)(next - line);
		if (*line != '@' && strncmp(line, "librein[", 8) != 0) {
			memmove(to, line, n);
			to += n;
		}
	}
	*to = 0;
}

struct result {
	char *text, *order;
};

static void result_free(struct result *r)
{
	free(r->text);
	free(r->order);
}

static void command(char *buf, size_t len, unsigned long seed)
{
	const char *calls = getenv("REIN_RANDOM_CALLS");
	snprintf(buf, len, "REIN_RANDOM_SEED=%lu REIN_RANDOM_CALLS=%s %s", seed,
	         calls ? calls : CALLS, built("tests/process/test_random"));
}

static unsigned shadows; /* streams that kernels went out to */

/* Under the shim, with the daemon there; or killed and started again in the middle of it. */
enum how { BARE, SHIM, SHIM_DAEMON_DIES };

static void daemon_dies(unsigned long seed)
{
	sleep_us((unsigned)(seed * 7919 % 12000));
	proc_kill(&rig.daemon, SIGKILL);
	proc_wait(&rig.daemon, NULL, 0, WAIT_MS);
	sleep_us((unsigned)(seed * 104729 % 3000));
	rig_daemon(&rig);
}

static struct result run(unsigned long seed, enum how how)
{
	static char out[1 << 20];
	char args[128], path[160], again[400];
	size_t len;
	const char *calls = getenv("REIN_RANDOM_CALLS");
	snprintf(args, sizeof(args), "--seed %lu --calls %s%s", seed, calls ? calls : CALLS,
	         how == BARE ? " --no-pauses" : "");
	snprintf(path, sizeof(path), "%s/order", rig.dir);
	unlink(path);
	setenv("SOFTGPU_ORDER_LOG", path, 1);
	struct proc p = rig_start(&rig, how == BARE ? -1 : 0, "tests/clients/random_program", args);
	if (how == SHIM_DAEMON_DIES)
		daemon_dies(seed);
	int rc = proc_wait(&p, out, sizeof(out), RUN_MS);
	command(again, sizeof(again), seed);
	unsetenv("SOFTGPU_ORDER_LOG");
	ck_assert_msg(rc == 0, "seed %lu, %s the shim: exit %d: %.2000s\nagain: %s", seed,
	              how == BARE ? "without" : "under", rc, out, again);
	struct result r = {.text = strdup(out)};
	char *log = rig_read(path, &len);
	ck_assert(r.text && log);
	r.order = order_of_run(r.text, log);
	for (const char *at = r.text; (at = strstr(at, "goes out to")) != NULL; at++)
		shadows++;
	free(log);
	drop_stream_lines(r.text);
	return r;
}

/* Fails with the first line that differs, and how to see it again. */
static void same(unsigned long seed, const char *what, const char *bare, const char *under)
{
	char again[400];
	const char *a = bare, *b = under;
	unsigned line = 1;
	if (strcmp(bare, under) == 0)
		return;
	for (const char *p = bare, *q = under; *p && *p == *q; p++, q++)
		if (*p == '\n') {
			a = p + 1;
			b = q + 1;
			line++;
		}
	command(again, sizeof(again), seed);
	ck_abort_msg("seed %lu: other %s under the shim, line %u:\n  without: %.*s\n  under:   "
	             "%.*s\nagain: %s",
	             seed, what, line, (int)strcspn(a, "\n"), a, (int)strcspn(b, "\n"), b, again);
}

static void compare(unsigned long seed, enum how how)
{
	struct result bare = run(seed, BARE), under = run(seed, how);
	same(seed, "results", bare.text, under.text);
	same(seed, "order", bare.order, under.order);
	result_free(&bare);
	result_free(&under);
}

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);
	return value ? strtoul(value, NULL, 0) : otherwise;
}

/* ---------------------------------------------------------------- tests */

/* The gate is really closed under a program's nose, many times. */
static void expect_held(void)
{
	struct proc p = rig_start(&rig, 0, "tests/clients/random_program",
	                          "--seed 1 --calls 1000000 --phase-calls 1000000");
	rig_expect_progress(&rig, p.pid, "gate_waits", 20, WAIT_MS);
	proc_kill(&p, SIGKILL);
	proc_wait(&p, NULL, 0, WAIT_MS);
}

/* Fast mode: nothing takes time, and the calls come as quickly as they can. */
TEST(the_gate_opens_and_closes_at_random)
{
	unsigned long only = number("REIN_RANDOM_SEED", 0);
	unsigned long first = only ? only : number("REIN_RANDOM_FIRST", 1);
	unsigned long n = only ? 1 : number("REIN_RANDOM_SEEDS", 40);
	setenv("SOFTGPU_MODE", "fast", 1);
	setenv("SOFTGPU_DEVICES", "2", 1);
	rig_init(&rig, NULL);
	rig_daemon(&rig);
	hammer_start(&rig);
	if (!only)
		expect_held();
	for (unsigned long seed = first; seed < first + n; seed++)
		compare(seed, SHIM);
	hammer_end();
	ck_assert_uint_gt(hammer.blows, 10);
	rig_fini(&rig);
}
TEST_END

/* The same with points in its streams, at which the GPU itself is held. */
static void rig_daemon_with_points(void)
{
	char conf[128];
	snprintf(conf, sizeof(conf), "%s/rein.conf", rig.dir);
	FILE *f = fopen(conf, "we");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "[daemon]\ngates = launch, queue\n");
	fclose(f);
	rig_daemon_with(&rig, (char *[]){"--config", conf, NULL});
}

/* Really: points are put into its streams, and work waits at them. */
static void expect_points(void)
{
	struct proc p = rig_start(&rig, 0, "tests/clients/random_program",
	                          "--seed 1 --calls 1000000 --phase-calls 1000000");
	rig_expect_progress(&rig, p.pid, "points", 100, WAIT_MS);
	proc_kill(&p, SIGKILL);
	proc_wait(&p, NULL, 0, WAIT_MS);
}

TEST(the_gpus_queue_stops_and_goes_on_at_random)
{
	unsigned long only = number("REIN_RANDOM_SEED", 0);
	unsigned long first = only ? only : number("REIN_RANDOM_FIRST", 1);
	unsigned long n = only ? 1 : number("REIN_RANDOM_SEEDS", 40) / 4;
	setenv("SOFTGPU_MODE", "fast", 1);
	setenv("SOFTGPU_DEVICES", "2", 1);
	rig_init(&rig, NULL);
	rig_daemon_with_points();
	hammer_start(&rig);
	order_without_memops = true;
	if (!only)
		expect_points();
	for (unsigned long seed = first; seed < first + n; seed++)
		compare(seed, SHIM);
	hammer_end();
	ck_assert_uint_gt(hammer.blows, 10);
	rig_fini(&rig);
}
TEST_END

/* Nobody is ever held: the hammer is more urgent, so the program has half of the SMs while that is
 * active, and all while it is not; what goes into one stream comes out of two. */
static void rig_daemon_with_slices(void)
{
	char conf[128];
	snprintf(conf, sizeof(conf), "%s/rein.conf", rig.dir);
	FILE *f = fopen(conf, "we");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "[daemon]\npolicy = fifo\n[class default]\nsms = 50%% shared\n");
	fclose(f);
	rig_daemon_with(&rig, (char *[]){"--config", conf, NULL});
}

TEST(the_slice_comes_and_goes_at_random)
{
	unsigned long only = number("REIN_RANDOM_SEED", 0);
	unsigned long first = only ? only : number("REIN_RANDOM_FIRST", 1);
	unsigned long n = only ? 1 : number("REIN_RANDOM_SEEDS", 40) / 4;
	setenv("SOFTGPU_MODE", "fast", 1);
	setenv("SOFTGPU_DEVICES", "2", 1);
	setenv("REIN_LOG", "debug", 1);
	rig_init(&rig, NULL);
	rig_daemon_with_slices();
	hammer_start(&rig);
	for (unsigned long seed = first; seed < first + n; seed++)
		compare(seed, SHIM);
	hammer_end();
	ck_assert_uint_gt(hammer.blows, 10);
	ck_assert_uint_ge(shadows, (unsigned)n);
	rig_fini(&rig);
}
TEST_END

/* With the gate closed by a daemon that is then no more. */
TEST(the_daemon_dies_and_comes_back)
{
	unsigned long only = number("REIN_RANDOM_SEED", 0);
	unsigned long first = only ? only : 3001,
		      n = only ? 1 : number("REIN_RANDOM_SEEDS", 40) / 5;
	setenv("SOFTGPU_MODE", "fast", 1);
	setenv("SOFTGPU_DEVICES", "2", 1);
	signal(SIGPIPE, SIG_IGN); /* the hammer's doorbell, when nobody hears it */
	rig_init(&rig, NULL);
	rig_daemon(&rig);
	for (unsigned long seed = first; seed < first + n; seed++) {
		hammer_start(&rig);
		compare(seed, SHIM_DAEMON_DIES);
		hammer_end();
	}
	rig_fini(&rig);
}
TEST_END

/* Modelled time, and a real urgent program on the same device. */
TEST(a_more_urgent_program_beside_it)
{
	unsigned long only = number("REIN_RANDOM_SEED", 0);
	setenv("SOFTGPU_DEVICES", "2", 1);
	setenv("SOFTGPU_OVERRUN_SLACK", "10s", 1); /* results count here, not times */
	rig_init(&rig, "lc_step=1ms");
	rig_daemon(&rig);
	struct proc lc = rig_start(&rig, 50, "workloads/lc",
	                           "--seconds 300 --kernels 2 --period 5 --arrivals periodic");
	rig_expect_state(&rig, lc.pid, "", WAIT_MS);
	unsigned long first = only ? only : 2001,
		      n = only ? 1 : number("REIN_RANDOM_SEEDS", 40) / 20;
	for (unsigned long seed = first; seed < first + n; seed++)
		compare(seed, SHIM);
	proc_kill(&lc, SIGKILL);
	proc_wait(&lc, NULL, 0, WAIT_MS);
	rig_fini(&rig);
}
TEST_END

TESTS("random", the_gate_opens_and_closes_at_random, the_gpus_queue_stops_and_goes_on_at_random,
      the_slice_comes_and_goes_at_random, the_daemon_dies_and_comes_back,
      a_more_urgent_program_beside_it)
