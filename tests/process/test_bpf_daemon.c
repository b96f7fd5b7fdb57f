// SPDX-License-Identifier: Apache-2.0
/*
 * test_bpf_daemon.c: what BPF tells of real programs on the software GPU, through the daemon into
 * its recording: who waits for what while off its CPU, who took the CPU, what programs without the
 * shim do; deaths, restarts, and a daemon without the rights.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/doing.h"
#include "profiler/bpf/bpf.h"
#include "tests/process/raw_client.h"
#include "tests/rig.h"

static struct rig rig;
static char config[96];

static void start(const char *lines)
{
	char *more[] = {"--config", config, NULL};
	FILE *f;
	rig_init(&rig, "lc_step=1ms,be_step=2ms");
	snprintf(config, sizeof(config), "%s/rein.conf", rig.dir);
	f = fopen(config, "we");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "[daemon]\n%s", lines);
	fclose(f);
	rig_daemon_with(&rig, more);
}

static void stop(struct proc *p)
{
	proc_kill(p, SIGKILL);
	proc_wait(p, NULL, 0, WAIT_MS);
}

/* `op trace`: what is recorded until now is in the files. The figure of "bpf". */
static json_t *ask(const char *request)
{
	json_t *answer = raw_ask(rig.dir, request);
	json_t *bpf = json_incref(json_object_get(answer, "bpf"));
	ck_assert_msg(bpf != NULL, "%s", json_dumps(answer, 0));
	json_decref(answer);
	return bpf;
}

#define TRACE "{\"op\":\"trace\"}"
#define PROBE "{\"op\":\"trace\",\"record_ms\":60000,\"uprobes\":true}"

/* ---------------------------------------------------------------- what is in the recording */

struct found {
	pid_t pid;    /* the client's */
	uint32_t id;  /* the one of that process; 0: not seen yet */
	pid_t blamed; /* a process that had the CPU */
	unsigned offcpu, gate, sync, backlog, other;
	uint64_t blamed_ns;
	char blamed_name[40];
	uint32_t sees;
	pid_t outsider;
	uint64_t launches, syncs, exits;
};

static int look(void *arg, const struct rein_trace_record *r)
{
	struct found *f = arg;
	const struct rein_trace_name *n = (const struct rein_trace_name *)(const void *)r;
	if (r->kind == REIN_TRACE_CLIENT && n->pid == (uint32_t)f->pid)
		f->id = n->client;
	if (r->kind == REIN_TRACE_PROCESS && n->pid == (uint32_t)f->blamed)
		snprintf(f->blamed_name, sizeof(f->blamed_name), "%.39s", n->name);
	if (r->kind == REIN_TRACE_OUTSIDER && r->thread == (uint32_t)f->outsider) {
		f->launches += r->result == REIN_OUTSIDER_LAUNCH ? r->a : 0;
		f->syncs += r->result == REIN_OUTSIDER_SYNC ? r->a : 0;
		f->exits += r->result == REIN_OUTSIDER_EXIT ? r->a : 0;
	}
	if (r->kind != REIN_TRACE_OFFCPU || !f->id)
		return 0;
	if (r->stamp != f->id) {
		f->other++;
		return 0;
	}
	f->offcpu++;
	f->gate += r->result == REIN_PHASE_GATE;
	f->sync += r->result == REIN_PHASE_SYNC;
	f->backlog += r->result == REIN_PHASE_BACKLOG;
	if (r->b >> 32 == (uint64_t)f->blamed)
		f->blamed_ns += r->end - (r->a ? r->a : r->begin);
	return 0;
}

static struct found read_all(struct found f)
{
	static struct rein_recording recording;
	char why[512];
	if (rein_recording_open(&recording, rig.dir, why, sizeof(why)))
		return f;
	for (unsigned i = 0; i < recording.n; i++) {
		f.sees |= recording.segment[i].header.sees & ~REIN_SEES_OPEN;
		ck_assert_int_eq(rein_recording_read(&recording, i, look, &f), 0);
	}
	return f;
}

static struct found found(struct found f)
{
	json_decref(ask(TRACE));
	return read_all(f);
}

/* ---------------------------------------------------------------- clients */

static struct found wanted;

static bool phases_are_seen(void *unused)
{
	struct found f = found(wanted);
	return f.gate && f.sync && f.backlog;
}

TEST(what_a_program_waits_for_while_it_sleeps)
{
	start("events = on\n");
	json_t *bpf = ask(TRACE);
	ck_assert(json_is_true(json_object_get(bpf, "offcpu")));
	ck_assert(json_is_false(json_object_get(bpf, "outsiders")));
	ck_assert_str_eq(json_string_value(json_object_get(bpf, "why")), "");
	json_decref(bpf);
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	rig_expect_progress(&rig, be.pid, "submissions", 0, WAIT_MS);
	struct proc lc = rig_start(&rig, 50, "workloads/lc",
	                           "--seconds 300 --kernels 2 --period 20 --arrivals periodic");
	wanted = (struct found){.pid = be.pid};
	ck_assert(eventually(phases_are_seen, NULL, WAIT_MS));
	ck_assert_uint_eq(found(wanted).sees, REIN_SEES_OFFCPU);
	stop(&lc);
	stop(&be);
	rig_fini(&rig);
}
TEST_END

static bool hog_is_blamed(void *unused)
{
	struct found f = found(wanted);
	return f.blamed_ns > 20 * 1000000ull && strcmp(f.blamed_name, "cpu hog") == 0;
}

TEST(a_hog_on_its_core_is_blamed_by_name)
{
	cpu_set_t one;
	start("events = on\n");
	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	pid_t hog = fork();
	ck_assert_int_ge(hog, 0);
	if (!hog) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "cpu hog");
		(void)setpriority(PRIO_PROCESS, 0, -15); /* others are on that CPU too */
		(void)sched_setaffinity(0, sizeof(one), &one);
		for (;;)
			(void)getppid();
	}
	struct proc lc = rig_start(&rig, 50, "workloads/lc",
	                           "--seconds 300 --kernels 2 --period 5 --arrivals periodic");
	ck_assert_int_eq(sched_setaffinity(lc.pid, sizeof(one), &one), 0);
	wanted = (struct found){.pid = lc.pid, .blamed = hog};
	ck_assert(eventually(hog_is_blamed, NULL, WAIT_MS));
	kill(hog, SIGKILL);
	waitpid(hog, NULL, 0);
	stop(&lc);
	rig_fini(&rig);
}
TEST_END

static bool is_seen(void *unused)
{
	return found(wanted).offcpu > 10;
}

TEST(deaths_of_programs_and_of_the_daemon)
{
	char *more[] = {"--config", config, NULL};
	start("events = on\n");
	struct proc first = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	struct proc second = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	wanted = (struct found){.pid = first.pid};
	ck_assert(eventually(is_seen, NULL, WAIT_MS));
	stop(&first);
	wanted = (struct found){.pid = second.pid};
	ck_assert(eventually(is_seen, NULL, WAIT_MS));
	/* what was recorded outlives the daemon; the next one's programs see the same process */
	stop(&rig.daemon);
	unsigned before = read_all(wanted).offcpu;
	ck_assert_uint_gt(before, 10);
	rig_daemon_with(&rig, more);
	rig_expect_progress(&rig, second.pid, "submissions", 10, WAIT_MS);
	for (int i = 0; i < 1000 && found(wanted).offcpu <= before + 10; i++)
		usleep(10000);
	ck_assert_uint_gt(found(wanted).offcpu, before + 10);
	stop(&second);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- off, and not permitted */

static unsigned count_lines(const char *text, const char *what)
{
	unsigned n = 0;
	for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
		n++;
	return n;
}

/* The daemon's end, and what it said. */
static const char *end_daemon(void)
{
	static char out[1 << 16];
	proc_kill(&rig.daemon, SIGTERM);
	ck_assert_int_eq(proc_wait(&rig.daemon, out, sizeof(out), WAIT_MS), 0);
	rig.daemon.pid = 0;
	return out;
}

static void is_scheduled_without_bpf(const char *why)
{
	json_t *bpf = ask(TRACE);
	ck_assert(json_is_false(json_object_get(bpf, "offcpu")));
	const char *said = json_string_value(json_object_get(bpf, "why"));
	ck_assert_msg(strstr(said, why), "%s", said);
	json_decref(bpf);
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	rig_expect_progress(&rig, be.pid, "submissions", 10, WAIT_MS);
	struct found f = found((struct found){.pid = be.pid});
	ck_assert_uint_ne(f.id, 0);
	ck_assert_uint_eq(f.offcpu, 0);
	ck_assert_uint_eq(f.sees, 0);
	stop(&be);
}

TEST(without_the_rights_there_is_one_line)
{
	static const int rights[] = {CAP_SYS_ADMIN, 38 /* CAP_PERFMON */, 39 /* CAP_BPF */};
	for (unsigned i = 0; i < sizeof(rights) / sizeof(rights[0]); i++)
		ck_assert_int_eq(prctl(PR_CAPBSET_DROP, rights[i], 0, 0, 0), 0);
	start("events = on\n");
	is_scheduled_without_bpf("BPF is not permitted");
	json_decref(ask("{\"op\":\"trace\",\"record_ms\":100}"));
	const char *log = end_daemon();
	ck_assert_msg(count_lines(log, "BPF is not permitted; run reind as root or with "
	                               "CAP_BPF and CAP_PERFMON; all else goes on") == 1,
	              "%s", log);
	rig_fini(&rig);
}
TEST_END

/* As if it had been built without: what is mounted there is seen by this test's processes only. */
TEST(without_the_kernels_types_there_is_one_line)
{
	if (unshare(CLONE_NEWNS) || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("nothing", "/sys/kernel/btf", "tmpfs", 0, NULL)) {
		printf("not tried: no mounts of our own here: %s\n", strerror(errno));
		return;
	}
	start("events = on\n");
	is_scheduled_without_bpf("the kernel has no /sys/kernel/btf/vmlinux");
	json_decref(ask("{\"op\":\"trace\",\"record_ms\":100}"));
	const char *log = end_daemon();
	ck_assert_msg(count_lines(log, "the kernel has no /sys/kernel/btf/vmlinux "
	                               "(CONFIG_DEBUG_INFO_BTF); all else goes on") == 1,
	              "%s", log);
	rig_fini(&rig);
}
TEST_END

/* The whole rig is another user's: he has the GPU, and no right to look at the machine. */
TEST(a_user_without_root_gets_one_line)
{
	rig_init(&rig, "lc_step=1ms,be_step=2ms");
	snprintf(config, sizeof(config), "%s/rein.conf", rig.dir);
	FILE *f = fopen(config, "we");
	ck_assert_ptr_nonnull(f);
	fputs("[daemon]\nevents = on\n", f);
	fclose(f);
	ck_assert_int_eq(chmod(config, 0644), 0);
	ck_assert_int_eq(chown(rig.dir, 65534, 65534), 0);
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setgid(65534), 0);
	ck_assert_int_eq(setuid(65534), 0);
	if (access(built("reind"), X_OK) != 0) {
		printf("not tried: another user cannot read the build folder\n");
		return;
	}
	rig_daemon_with(&rig, (char *[]){"--config", config, NULL});
	is_scheduled_without_bpf("BPF is not permitted");
	const char *log = end_daemon();
	ck_assert_msg(count_lines(log, "BPF is not permitted; run reind as root or with "
	                               "CAP_BPF and CAP_PERFMON; all else goes on") == 1,
	              "%s", log);
	rig_fini(&rig);
}
TEST_END

TEST(off_by_configuration)
{
	start("events = on\nbpf = off\n");
	is_scheduled_without_bpf("bpf = off");
	const char *log = end_daemon();
	ck_assert_msg(count_lines(log, "not recorded") == 0, "%s", log);
	rig_fini(&rig);
}
TEST_END

/* The links of a process to BPF programs. */
static unsigned links_of(pid_t pid)
{
	char path[64], line[128];
	unsigned n = 0;
	for (int fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
		ssize_t len = readlink(path, line, sizeof(line) - 1);
		line[len < 0 ? 0 : len] = 0;
		n += strstr(line, "bpf") != NULL;
	}
	return n;
}

static bool nothing_is_loaded(void *unused)
{
	return links_of(proc_child(rig.daemon.pid)) == 0;
}

static bool something_is_loaded(void *unused)
{
	return links_of(proc_child(rig.daemon.pid)) > 2;
}

TEST(nothing_is_loaded_while_nothing_is_recorded)
{
	start("events = off\n");
	ck_assert(nothing_is_loaded(NULL));
	json_decref(ask("{\"op\":\"trace\",\"record_ms\":3000}"));
	ck_assert(eventually(something_is_loaded, NULL, WAIT_MS));
	ck_assert(eventually(nothing_is_loaded, NULL, WAIT_MS));
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- without the shim */

/* Other people's programs on this machine too. */
static bool some_are_probed(void *unused)
{
	json_t *bpf = ask(TRACE);
	json_int_t probed = json_integer_value(json_object_get(bpf, "uprobes"));
	json_decref(bpf);
	return probed > 0;
}

static bool launches_are_seen(void *unused)
{
	return found(wanted).launches > 20;
}

static bool its_end_is_seen(void *unused)
{
	return found(wanted).exits == 1;
}

TEST(a_program_without_the_shim)
{
	start("events = off\n");
	json_t *bpf = ask(PROBE);
	if (!json_is_true(json_object_get(bpf, "outsiders"))) {
		printf("not tried: %s\n", json_string_value(json_object_get(bpf, "why")));
		json_decref(bpf);
		rig_fini(&rig);
		return;
	}
	json_decref(bpf);
	struct proc client = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	rig_expect_progress(&rig, client.pid, "submissions", 10, WAIT_MS);
	struct proc outsider = rig_start(&rig, -1, "workloads/be", "--seconds 300");
	wanted = (struct found){.outsider = outsider.pid};
	ck_assert(eventually(some_are_probed, NULL, WAIT_MS));
	ck_assert(eventually(launches_are_seen, NULL, WAIT_MS));
	bpf = ask(TRACE);
	ck_assert_int_gt(json_integer_value(json_object_get(bpf, "uprobe_ns")), 0);
	json_decref(bpf);
	struct found f = found((struct found){.outsider = client.pid});
	ck_assert_uint_eq(f.launches, 0);
	ck_assert_uint_eq(f.sees, REIN_SEES_OFFCPU | REIN_SEES_OUTSIDERS);
	stop(&outsider);
	ck_assert(eventually(its_end_is_seen, NULL, WAIT_MS));
	stop(&client);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- other tracers */

#define BPFTRACE "/usr/bin/bpftrace"

TEST(bpftrace_finds_the_probes)
{
	static char out[1 << 16];
	char program[1400], pid[16];
	if (access(BPFTRACE, X_OK) != 0) {
		printf("not tried: no " BPFTRACE "\n");
		return;
	}
	start("events = off\n");
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	rig_expect_progress(&rig, be.pid, "submissions", 0, WAIT_MS);
	struct proc lc = rig_start(&rig, 50, "workloads/lc",
	                           "--seconds 300 --kernels 2 --period 20 --arrivals periodic");
	rig_expect_progress(&rig, be.pid, "gate_waits", 1, WAIT_MS);
	const char *lib = built("librein.so");
	snprintf(program, sizeof(program),
	         "usdt:%s:rein:register { @doing = arg0; } "
	         "usdt:%s:rein:block /@doing && arg0 == 1/ { @holder = arg1 + 1; } "
	         "usdt:%s:rein:resume /@holder && arg0 == 1/ { "
	         "printf(\"held for %%d, resumed after %%d ns\\n\", @holder - 1, arg1); exit(); }",
	         lib, lib, lib);
	snprintf(pid, sizeof(pid), "%d", (int)be.pid);
	char *argv[] = {BPFTRACE, "-p", pid, "-e", program, NULL};
	int status = proc_run(argv, NULL, out, sizeof(out), 60000);
	ck_assert_msg(status == 0 && strstr(out, "resumed after"), "exit %d: %s", status, out);
	stop(&lc);
	stop(&be);
	rig_fini(&rig);
}
TEST_END

int main(void)
{
	const TTest *const tests[] = {what_a_program_waits_for_while_it_sleeps,
	                              a_hog_on_its_core_is_blamed_by_name,
	                              deaths_of_programs_and_of_the_daemon,
	                              without_the_rights_there_is_one_line,
	                              without_the_kernels_types_there_is_one_line,
	                              a_user_without_root_gets_one_line,
	                              off_by_configuration,
	                              nothing_is_loaded_while_nothing_is_recorded,
	                              a_program_without_the_shim,
	                              bpftrace_finds_the_probes};
	struct rein_bpf *bpf;
	char why[256];
	if (rein_bpf_open(&bpf, why, sizeof(why)) != 0) {
		printf("skipped: %s\n", why);
		return 77;
	}
	rein_bpf_close(bpf);
	return harness_run("BPF and the daemon", tests, sizeof(tests) / sizeof(tests[0]));
}
