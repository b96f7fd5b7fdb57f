// SPDX-License-Identifier: Apache-2.0
/*
 * test_hold_daemon.c: the context gate with the real daemon, which is given a profile that names a
 * recipe, and a client that comes and goes at random moments (hammer.h): what it interrupts is
 * right to the bit, and goes on when the daemon is killed while it is held; a tracer can see it.
 * REIN_GATE_DEATHS: how often it is killed (default 4).
 */
#include "common/clock.h"
#include "profiler/bpf/bpf.h"
#include "tests/process/hammer.h"

#define KERNELS 150u
#define KILLS_MAX 1000

static struct rig rig;
static char owners[160];

static void begin(void)
{
	char path[128];
	rig_init(&rig, "mix=20ms");
	snprintf(path, sizeof(path), "%s/profile", rig.dir);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs("{\"profile_version\": 1, \"gpu\": \"*\", \"driver\": \"software\",\n"
	      " \"context\": {\"recipe\": \"disable-preempt\"}}\n",
	      f);
	ck_assert_int_eq(fclose(f), 0);
	snprintf(owners, sizeof(owners), "%s/owners", rig.dir);
	setenv("REIN_PROFILE", path, 1);
	signal(SIGPIPE, SIG_IGN); /* a doorbell of a daemon that is gone */
	setenv("SOFTGPU_RM", "1", 1);
	setenv("SOFTGPU_DEVICES", "2", 1); /* as the hammer has it */
	setenv("SOFTGPU_OWNER_LOG", owners, 1);
	rig_daemon(&rig);
}

static struct owned {
	uint64_t start_ns, end_ns;
} owned[20000];

/* When the program had the SMs, in order; it is the only one that uses them. */
static unsigned read_owners(pid_t pid)
{
	FILE *f = fopen(owners, "r");
	unsigned n = 0;
	unsigned long long from, to;
	int who;
	ck_assert_ptr_nonnull(f);
	while (n < 20000 && fscanf(f, "%d %llu %llu", &who, &from, &to) == 3) {
		if (who != pid)
			continue;
		if (n && owned[n - 1].end_ns == from) /* a long one is written in pieces */
			owned[n - 1].end_ns = to;
		else
			owned[n++] = (struct owned){from, to};
	}
	fclose(f);
	return n;
}

static void expect_right(struct proc *p)
{
	char out[4096];
	int rc = proc_wait(p, out, sizeof(out), 60000);
	ck_assert_msg(rc == 0 && strncmp(out, "ok ", 3) == 0, "exit %d: %s", rc, out);
}

/* Runs until the daemon knows how long its kernels take: they are measured while somebody more
 * urgent is there. */
static struct proc start_known(unsigned kernels)
{
	char args[32];
	snprintf(args, sizeof(args), "step %u", kernels);
	struct proc p = rig_start(&rig, 0, "tests/clients/held", args);
	rig_expect_progress(&rig, p.pid, "requests", 40, 20000);
	return p;
}

TEST(interrupted_at_random)
{
	begin();
	hammer_join(&rig);
	struct proc p = start_known(KERNELS);
	pid_t pid = p.pid;
	hammer_swing();
	expect_right(&p);
	hammer_end();
	unsigned n = read_owners(pid);
	printf("%llu blows, %u times on the SMs for %u kernels of 20 ms\n",
	       (unsigned long long)hammer.blows, n, KERNELS);
	ck_assert_uint_gt(n, KERNELS + 200);
	rig_fini(&rig);
}
TEST_END

#define BPFTRACE "/usr/bin/bpftrace"

/* The probe rein:preempt, of what takes it off the GPU and lets it on again. */
TEST(a_tracer_sees_it_taken_off_and_let_on_again)
{
	static char out[1 << 16];
	char program[800], pid[16], why[256];
	struct rein_bpf *bpf;
	long long held_ns = 0;
	if (access(BPFTRACE, X_OK) != 0 || rein_bpf_open(&bpf, why, sizeof(why)) != 0) {
		printf("not tried: no " BPFTRACE ", or no right to use it\n");
		return;
	}
	rein_bpf_close(bpf);
	begin();
	hammer_join(&rig);
	struct proc p = start_known(100 * KERNELS);
	hammer_swing();
	const char *lib = built("librein.so");
	snprintf(program, sizeof(program),
	         "usdt:%s:rein:preempt /arg0 == 1/ { @off = nsecs; } "
	         "usdt:%s:rein:preempt /@off && arg0 == 0/ { "
	         "printf(\"off for %%lld ns\\n\", nsecs - @off); exit(); }",
	         lib, lib);
	snprintf(pid, sizeof(pid), "%d", (int)p.pid);
	char *argv[] = {BPFTRACE, "-p", pid, "-e", program, NULL};
	int status = proc_run(argv, NULL, out, sizeof(out), WAIT_MS);
	const char *at = strstr(out, "off for ");
	ck_assert_msg(status == 0 && at, "exit %d: %s", status, out);
	ck_assert_int_eq(sscanf(at, "off for %lld ns", &held_ns), 1);
	ck_assert_int_gt(held_ns, 0);
	hammer_end();
	proc_kill(&p, SIGKILL);
	proc_wait(&p, NULL, 0, WAIT_MS);
	rig_fini(&rig);
}
TEST_END

static bool answers(void *unused)
{
	json_t *status = rig_rein(&rig, "status");
	json_decref(status);
	return status != NULL;
}

#define WORKERS 4 /* that a supervisor replaces; it gives up after five within a minute */

/* One death: of its worker, which the supervisor replaces, or of both. When it was. */
static uint64_t kill_daemon(unsigned i)
{
	bool both = i % WORKERS == WORKERS - 1;
	uint64_t at_ns = rein_now_ns();
	ck_assert_int_eq(kill(both ? rig.daemon.pid : proc_child(rig.daemon.pid), SIGKILL), 0);
	hammer_end();
	if (both) {
		proc_wait(&rig.daemon, NULL, 0, WAIT_MS);
		rig_daemon(&rig);
	}
	return at_ns;
}

TEST(the_daemon_is_killed)
{
	static uint64_t killed_ns[KILLS_MAX];
	const char *wish = getenv("REIN_GATE_DEATHS");
	unsigned kills = wish ? (unsigned)atoi(wish) : 4;
	ck_assert_uint_le(kills, KILLS_MAX);
	begin();
	hammer_join(&rig);
	struct proc p = start_known(KERNELS * kills / 4);
	pid_t pid = p.pid;
	for (unsigned i = 0; i < kills; i++) {
		if (i)
			hammer_join(&rig);
		hammer_swing();
		sleep_us(50000 + roll(50000));
		killed_ns[i] = kill_daemon(i);
		ck_assert(eventually(answers, NULL, WAIT_MS));
		rig_expect_state(&rig, pid, "", WAIT_MS);
	}
	expect_right(&p);
	unsigned n = read_owners(pid), k = 0;
	for (unsigned i = 0; i < kills; i++) {
		while (k < n && owned[k].end_ns <= killed_ns[i])
			k++;
		ck_assert_uint_lt(k, n);
		/* one lease, and what a loaded machine adds */
		ck_assert_uint_le(owned[k].start_ns, killed_ns[i] + REIN_LEASE_NS + 300 * REIN_MS);
	}
	rig_fini(&rig);
}
TEST_END

TESTS("hold-daemon", interrupted_at_random, a_tracer_sees_it_taken_off_and_let_on_again,
      the_daemon_is_killed)
