// SPDX-License-Identifier: Apache-2.0
/*
 * test_why_shared.c: `rein why` against the truth (as test_why.c), where the GPU is shared in other
 * ways: programs that the context gate takes off it, and programs that run on it at once (MPS).
 */
#include "tests/process/raw_client.h"
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

/* ---------------------------------------------------------------- without the shim */

/* As in test_why.c: where the host was late it is not asked. */
static uint64_t owned_by_culprit(const struct truth *t)
{
	uint64_t theirs = owned(culprit, t->begin, t->end), all = t->end - t->begin;
	uint64_t late = all - theirs - owned(victim_pid, t->begin, t->end);
	return late > all / 20 ? 0 : theirs;
}

/* What the recording has of a process without the shim. */
struct outside {
	uint64_t launches, looks;
};

static int look_outside(void *arg, const struct rein_trace_record *r)
{
	struct outside *o = arg;
	if (r->kind != REIN_TRACE_OUTSIDER || r->thread != (uint32_t)culprit)
		return 0;
	o->launches += r->result == REIN_OUTSIDER_LAUNCH ? r->a : 0;
	o->looks += r->result == REIN_OUTSIDER_OPEN;
	return 0;
}

static struct outside recorded(void)
{
	static struct rein_recording recording;
	struct outside o = {0};
	char err[512];
	ck_assert_int_eq(rein_recording_open(&recording, rig.dir, err, sizeof(err)), 0);
	for (unsigned i = 0; i < recording.n; i++)
		ck_assert_int_eq(rein_recording_read(&recording, i, look_outside, &o), 0);
	return o;
}

/* The report says the same: who it is, and that nobody manages it. */
static void expect_in_report(void)
{
	char path[96], options[128];
	size_t i;
	json_t *w;
	bool found = false;
	snprintf(path, sizeof(path), "%s/report.json", rig.dir);
	snprintf(options, sizeof(options), "report -o %s", path);
	json_decref(rig_rein(&rig, options));
	json_t *report = json_load_file(path, 0, NULL);
	ck_assert_ptr_nonnull(report);
	json_array_foreach(json_object_get(report, "who"), i, w)
	{
		found |= json_integer_value(json_object_get(w, "pid")) == culprit &&
		         json_is_true(json_object_get(w, "unmanaged"));
	}
	json_decref(report);
	ck_assert(found);
}

static bool can_probe;

/* For as long as the test may take. What `rein trace --uprobes` asks of the daemon. */
static bool ask_to_probe(void)
{
	json_t *answer =
	    raw_ask(rig.dir, "{\"op\":\"trace\",\"record_ms\":60000,\"uprobes\":true}");
	bool can = json_is_true(json_object_get(json_object_get(answer, "bpf"), "outsiders"));
	json_decref(answer);
	return can;
}

/* A program that hogs the GPU beside the victim, and is not under rein. */
static struct outside hog_outside(const char *conf, bool probe, unsigned *delayed, unsigned *right)
{
	start(conf, "add=2ms,be_step=20ms");
	if (probe)
		can_probe = ask_to_probe();
	struct proc lc = rig_start(&rig, 50, "tests/clients/late", "120 33 3");
	rig_expect_progress(&rig, lc.pid, "submissions", 120, RUN_MS);
	struct proc be = rig_start(&rig, -1, "workloads/be", "--seconds 300");
	culprit = be.pid;
	victim_pid = lc.pid;
	finish(&lc);
	ask(victim_pid,
	    &(struct question){.causes = "gpu_unsplit gpu_others slow_down",
	                       .culprit = culprit,
	                       .truth = owned_by_culprit},
	    delayed, right);
	struct outside o = recorded();
	expect_words("  estimate", "unmanaged process %d (be)");
	expect_in_report();
	stop(&be);
	return o;
}

TEST(who_is_not_under_rein_is_named)
{
	unsigned delayed = 0, right = 0;
	for (int i = 0; i < ATTEMPTS && (!i || right * 20 < delayed * 19); i++) {
		struct outside o = hog_outside("policy = fifo\nbpf = off", false, &delayed, &right);
		ck_assert_uint_eq(o.launches, 0);
		ck_assert_uint_ge(o.looks, 1);
	}
	expect_most(delayed, right);
}
TEST_END

/* The same with its launches counted, where that is permitted. */
TEST(who_is_not_under_rein_is_named_by_its_launches)
{
	unsigned delayed = 0, right = 0;
	for (int i = 0; i < ATTEMPTS && (!i || right * 20 < delayed * 19); i++) {
		struct outside o = hog_outside("policy = fifo", true, &delayed, &right);
		if (!can_probe) {
			puts("skipped: launches outside cannot be counted here");
			return;
		}
		ck_assert_uint_ge(o.launches, 20);
	}
	expect_most(delayed, right);
}
TEST_END

TESTS("why, shared", who_took_it_off_the_gpu_is_named, who_runs_beside_it_is_named,
      who_is_not_under_rein_is_named, who_is_not_under_rein_is_named_by_its_launches)
