// SPDX-License-Identifier: Apache-2.0
/*
 * test_why_shared.c: `rein why` against the truth (as test_why.c), where the GPU is shared in other
 * ways: programs that the context gate takes off it, and programs that run on it at once (MPS).
 */
#include "tests/process/why_rig.h"

static pid_t victim_pid, culprit;

/* ---------------------------------------------------------------- the context gate */

static struct truth holder[REQUESTS];
static unsigned n_holders;

/* The holder's request that came while this one was under way, and met no other; NULL: none. */
static const struct truth *intruder(const struct truth *t)
{
	const struct truth *by = NULL;
	for (unsigned i = 0; i < n_holders; i++) {
		if (holder[i].begin >= t->end || holder[i].end <= t->begin)
			continue;
		if (by || holder[i].begin < t->begin || holder[i].end > t->end)
			return NULL;
		by = &holder[i];
	}
	return by;
}

/* A kernel of its was running when the holder came, and the gate took some time to act: it did not
 * wait at the launch gate. */
static bool was_running(uint64_t came)
{
	return owned(victim_pid, came, came + 250000) >= 100000;
}

/* While the holder's request lasted it did not have the GPU. */
static uint64_t taken_off(const struct truth *t)
{
	const struct truth *by = intruder(t);
	return by && was_running(by->begin)
	           ? by->end - by->begin - owned(victim_pid, by->begin, by->end)
	           : 0;
}

/* Nor did it at other times, until it was let on again. */
static uint64_t off_at_most(const struct truth *t)
{
	return t->end - t->begin - owned(victim_pid, t->begin, t->end);
}

static void allow_context_gate(void)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/profile", temp_dir());
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs("{\"profile_version\": 1, \"gpu\": \"*\", \"driver\": \"software\",\n"
	      " \"context\": {\"recipe\": \"disable\"}}\n",
	      f);
	ck_assert_int_eq(fclose(f), 0);
	setenv("REIN_PROFILE", path, 1);
	setenv("SOFTGPU_RM", "1", 1);
}

/* Its kernels take 20 ms: behind the launch gate alone the request would wait for the whole one. */
static void hold_by_context(unsigned *delayed, unsigned *right)
{
	static char out[1 << 16];
	start("policy = classes", "add=20ms");
	struct proc low = rig_start(&rig, 10, "tests/clients/late", "34 110 2");
	rig_expect_progress(&rig, low.pid, "submissions", 20, RUN_MS);
	snprintf(rig.env[3], sizeof(rig.env[3]), "SOFTGPU_TIMES=add=2ms");
	struct proc lc = rig_start(&rig, 50, "tests/clients/late", "26 97 4");
	culprit = lc.pid;
	victim_pid = low.pid;
	ck_assert_int_eq(proc_wait(&lc, out, sizeof(out), RUN_MS), 0);
	read_requests(out);
	memcpy(holder, request, sizeof(holder));
	n_holders = n_requests;
	finish(&low);
	ask(victim_pid,
	    &(struct question){.causes = "context_gate",
	                       .culprit = culprit,
	                       .truth = taken_off,
	                       .most = off_at_most},
	    delayed, right);
}

/* In words, too: the gate, and for whose sake. */
static void expect_words(const char *cause, const char *phrase)
{
	char pid[16], told_of[64];
	static char text[1 << 20];
	char *argv[] = {(char *)built("rein"), "why", pid, "--worst", TOLD, NULL};
	char *env[] = {rig.env[0], NULL};
	snprintf(pid, sizeof(pid), "%d", (int)victim_pid);
	snprintf(told_of, sizeof(told_of), phrase, (int)culprit);
	ck_assert_int_eq(proc_run(argv, env, text, sizeof(text), RUN_MS), 0);
	ck_assert_msg(strstr(text, cause) && strstr(text, told_of), "no '%s': %.3000s", told_of,
	              text);
}

TEST(who_took_it_off_the_gpu_is_named)
{
	unsigned delayed = 0, right = 0;
	allow_context_gate();
	for (int i = 0; i < ATTEMPTS && (!i || right * 20 < delayed * 19); i++) {
		hold_by_context(&delayed, &right);
		expect_words("  context gate", "taken off the GPU for late (PID %d)");
		stop(NULL);
	}
	unsetenv("SOFTGPU_RM");
	unsetenv("REIN_PROFILE");
	expect_most(delayed, right);
}
TEST_END

/* ---------------------------------------------------------------- at once */

#define ALONE_NS 2000000ull

/* By how much its kernels took longer than alone, by the GPU's own log. */
static uint64_t slowed(const struct truth *t)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < n_kernels; i++) {
		const struct owner *k = &kernels[i];
		if (k->pid != victim_pid || k->begin < t->begin || k->end > t->end)
			continue;
		sum += k->end - k->begin > ALONE_NS ? k->end - k->begin - ALONE_NS : 0;
	}
	return sum;
}

/* Two that want four fifths of the memory each. */
static void slow_each_other(const char *conf, const char *causes, unsigned *delayed,
                            unsigned *right)
{
	start(conf, "add=2ms@80,be_step=20ms@80");
	struct proc lc = rig_start(&rig, 50, "tests/clients/late", "90 30 4");
	rig_expect_progress(&rig, lc.pid, "submissions", 120, RUN_MS);
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	culprit = be.pid;
	victim_pid = lc.pid;
	finish(&lc);
	ask(victim_pid, &(struct question){.causes = causes, .culprit = culprit, .truth = slowed},
	    delayed, right);
	expect_words("  estimate", "beside be (PID %d)");
	stop(&be);
}

TEST(who_runs_beside_it_is_named)
{
	unsigned delayed = 0, right = 0;
	if (!has_cupti())
		return;
	setenv("SOFTGPU_MPS", "1", 1);
	for (int i = 0; i < ATTEMPTS && (!i || right * 20 < delayed * 19); i++)
		slow_each_other("policy = fifo\n[class default]\ncupti = on", "slow_down", &delayed,
		                &right);
	unsetenv("SOFTGPU_MPS");
	expect_most(delayed, right);
}
TEST_END

TESTS("why, shared", who_took_it_off_the_gpu_is_named, who_runs_beside_it_is_named)
