// SPDX-License-Identifier: Apache-2.0
/*
 * test_agent.c: true GPU times of programs on the software GPU, by the agent and the CUPTI double:
 * each record is the software GPU's own log, and belongs to the submission that it says; who else
 * wants CUPTI gets it; nothing is left of it when the daemon says so, or is no more.
 */
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/recording.h"
#include "tests/process/raw_client.h"
#include "tests/rig.h"

#define RUN_MS 60000
#define RECORDS_MAX 200000

#if __has_include(<cupti.h>)

static struct rig rig;
static struct rein_trace_record records[RECORDS_MAX];
static unsigned n_records;
static char output[1 << 16];

static void agent_daemon(const char *events, const char *cupti)
{
	char config[96];
	char *more[] = {"--config", config, NULL};
	snprintf(config, sizeof(config), "%s/rein.conf", rig.dir);
	FILE *f = fopen(config, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "[daemon]\nevents = %s\n[class default]\ncupti = %s\n", events, cupti);
	fclose(f);
	rig_daemon_with(&rig, more);
}

static void start(const char *events, const char *cupti)
{
	rig_init(&rig, "add=300us,mul=200us");
	agent_daemon(events, cupti);
}

static struct proc run(const char *mode)
{
	return rig_start(&rig, 0, "tests/clients/agent", mode);
}

static void end(struct proc *p)
{
	proc_kill(p, SIGKILL);
	proc_wait(p, NULL, 0, WAIT_MS);
}

/* ---------------------------------------------------------------- what was recorded */

static int keep(void *unused, const struct rein_trace_record *cell)
{
	ck_assert_uint_lt(n_records, RECORDS_MAX);
	records[n_records++] = *cell;
	return 0;
}

/* Everything so far. */
static unsigned take(enum rein_trace_kind kind)
{
	static struct rein_recording r;
	char why[512];
	unsigned n = 0;
	json_t *answer = raw_ask(rig.dir, "{\"op\":\"trace\"}");
	json_decref(answer);
	n_records = 0;
	if (rein_recording_open(&r, rig.dir, why, sizeof(why)))
		return 0;
	for (unsigned i = 0; i < r.n; i++)
		ck_assert_int_eq(rein_recording_read(&r, i, keep, NULL), 0);
	for (unsigned i = 0; i < n_records; i++)
		n += records[i].kind == kind;
	return n;
}

static bool any_times(void *unused)
{
	return take(REIN_TRACE_GPU) > 0;
}

/* The submission that a record says it belongs to. */
static const struct rein_trace_record *submission(const struct rein_trace_record *gpu)
{
	const struct rein_trace_record *found = NULL;
	for (unsigned i = 0; i < n_records; i++)
		if (records[i].kind == REIN_TRACE_SUBMIT && records[i].stream == gpu->stream &&
		    records[i].number == gpu->number) {
			ck_assert_ptr_null(found); /* it is one */
			found = &records[i];
		}
	ck_assert_ptr_nonnull(found);
	return found;
}

static bool is_submitted_by(const struct rein_trace_record *s, const char *names)
{
	char list[200];
	snprintf(list, sizeof(list), "%s", names);
	for (char *name = strtok(list, " "); name; name = strtok(NULL, " "))
		if (s->entry == rein_trace_entry(name))
			return true;
	return false;
}

static void check_link(const struct rein_trace_record *r)
{
	static const char *const calls[] = {
	    [REIN_GPU_KERNEL] = "cuLaunchKernel",
	    [REIN_GPU_COPY] = "cuMemcpyDtoHAsync_v2 cuMemcpyHtoDAsync_v2 cuMemcpyDtoH_v2",
	    [REIN_GPU_SET] = "cuMemsetD32Async",
	    [REIN_GPU_GRAPH] = "cuGraphLaunch"};
	const struct rein_trace_record *s = submission(r);
	ck_assert(is_submitted_by(s, calls[r->result & 0xff]));
	ck_assert_uint_ge(r->begin, s->begin);
	ck_assert_uint_ge(r->end, r->begin);
	ck_assert_uint_eq(r->func, s->func ? rein_trace_key(s) : 0);
	if ((r->result & 0xff) == REIN_GPU_KERNEL)
		ck_assert_uint_eq(r->a, s->a); /* the grid */
	if ((r->result & 0xff) == REIN_GPU_COPY) {
		ck_assert_uint_eq(r->a, 4000);
		ck_assert_uint_eq(r->result >> 8 == 1,
		                  s->entry == rein_trace_entry("cuMemcpyHtoDAsync_v2"));
	}
}

/* ---------------------------------------------------------------- what the driver saw */

struct logged {
	unsigned long long begin, end;
	unsigned stream;
	char kind[16], name[64];
	bool taken;
};

static unsigned read_log(const char *path, struct logged *log, unsigned max)
{
	size_t len;
	char *text = rig_read(path, &len);
	unsigned n = 0;
	ck_assert_ptr_nonnull(text);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		struct logged l = {0};
		ck_assert_int_eq(sscanf(line, "%*d %u %15s %63s %llu %llu", &l.stream, l.kind,
		                        l.name, &l.begin, &l.end),
		                 5);
		if (strcmp(l.kind, "kernel") && strcmp(l.kind, "copy") && strcmp(l.kind, "set"))
			continue;
		ck_assert_uint_lt(n, max);
		log[n++] = l;
	}
	free(text);
	return n;
}

static bool is_logged(const struct rein_trace_record *r, struct logged *log, unsigned n)
{
	static const char *const kinds[] = {
	    [REIN_GPU_KERNEL] = "kernel", [REIN_GPU_COPY] = "copy", [REIN_GPU_SET] = "set"};
	const char *kind = kinds[r->result & 0xff];
	for (unsigned i = 0; i < n; i++) {
		struct logged *l = &log[i];
		if (!l->taken && strcmp(l->kind, kind) == 0 && l->stream == r->b >> 32 &&
		    l->begin == r->begin && l->end == r->end &&
		    (r->entry == 0 || rein_trace_entry(l->name) == r->entry)) {
			l->taken = true;
			return true;
		}
	}
	return false;
}

/* From its first node's begin to its last one's end. */
static bool is_logged_graph(const struct rein_trace_record *r, struct logged *log, unsigned n,
                            unsigned nodes)
{
	unsigned inside = 0;
	bool begins = false, ends = false;
	for (unsigned i = 0; i < n; i++) {
		struct logged *l = &log[i];
		if (l->taken || strcmp(l->kind, "kernel") != 0 || l->stream != r->b >> 32 ||
		    l->begin < r->begin || l->end > r->end)
			continue;
		begins |= l->begin == r->begin;
		ends |= l->end == r->end;
		l->taken = true;
		inside++;
	}
	return inside == nodes && begins && ends;
}

/* Two threads, four streams, graphs, the default stream: see mix in tests/clients/agent.c. */
TEST(each_record_is_the_log_and_its_submission)
{
	static struct logged log[400];
	char path[96];
	unsigned of[5] = {0};
	start("on", "on");
	snprintf(path, sizeof(path), "%s/order", rig.dir);
	setenv("SOFTGPU_ORDER_LOG", path, 1);
	struct proc p = run("mix");
	ck_assert_int_eq(proc_wait(&p, output, sizeof(output), RUN_MS), 0);
	unsetenv("SOFTGPU_ORDER_LOG");
	ck_assert_ptr_nonnull(strstr(output, "ok\n"));
	unsigned n_log = read_log(path, log, REIN_ARRAY_LEN(log));
	unsigned n = take(REIN_TRACE_GPU);
	ck_assert_uint_eq(n, 2 * (2 * (1 + 10 + 2) + 2 + 1 + 1 + 1));
	ck_assert_uint_eq(n_log, n + 2 * 2 * (3 - 1)); /* the nodes of graphs */
	for (unsigned i = 0; i < n_records; i++) {
		const struct rein_trace_record *r = &records[i];
		if (r->kind != REIN_TRACE_GPU)
			continue;
		ck_assert_uint_lt(r->result & 0xff, 5);
		of[r->result & 0xff]++;
		check_link(r);
		if ((r->result & 0xff) != REIN_GPU_GRAPH)
			ck_assert(is_logged(r, log, n_log));
	}
	for (unsigned i = 0; i < n_records; i++)
		if (records[i].kind == REIN_TRACE_GPU && records[i].result == REIN_GPU_GRAPH)
			ck_assert(is_logged_graph(&records[i], log, n_log, 3));
	ck_assert_uint_eq(of[REIN_GPU_KERNEL], 2 * (20 + 2));
	ck_assert_uint_eq(of[REIN_GPU_COPY], 2 * 5);
	ck_assert_uint_eq(of[REIN_GPU_SET], 2 * 2);
	ck_assert_uint_eq(of[REIN_GPU_GRAPH], 2 * 2);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- the program's side */

static bool has_mapped(pid_t pid, const char *library)
{
	char path[64], line[1024];
	bool found = false;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		found |= strstr(line, library) != NULL;
	if (f)
		fclose(f);
	return found;
}

static bool has_thread(pid_t pid, const char *name)
{
	char path[300], comm[32];
	bool found = false;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/comm", (int)pid, e->d_name);
		FILE *f = fopen(path, "r");
		found |= f && fscanf(f, "%31s", comm) == 1 && strcmp(comm, name) == 0;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return found;
}

static bool agent_gone(void *pid)
{
	return !has_thread(*(pid_t *)pid, "rein-cupti");
}

static bool agent_there(void *pid)
{
	return has_thread(*(pid_t *)pid, "rein-cupti");
}

struct expected {
	pid_t pid;
	const char *state;
};

static bool says(void *arg)
{
	const struct expected *e = arg;
	json_t *answer = raw_ask(rig.dir, "{\"op\":\"clients\"}"), *c;
	bool so = false;
	size_t i;
	json_array_foreach(json_object_get(answer, "clients"), i, c)
	{
		const char *state = json_string_value(json_object_get(c, "cupti"));
		so |= json_integer_value(json_object_get(c, "pid")) == e->pid && state &&
		      strcmp(state, e->state) == 0;
	}
	json_decref(answer);
	return so;
}

static void expect_state(pid_t pid, const char *state)
{
	struct expected e = {pid, state};
	ck_assert_msg(eventually(says, &e, WAIT_MS), "it never said \"%s\"", state);
}

/* Off, nothing is loaded and nothing recorded. */
TEST(off_costs_nothing)
{
	start("on", "off");
	struct proc p = run("loop");
	rig_expect_progress(&rig, p.pid, "submissions", 100, WAIT_MS);
	ck_assert(!has_mapped(p.pid, "librein-cupti.so") && !has_mapped(p.pid, "libcupti"));
	ck_assert(agent_gone(&p.pid));
	ck_assert_uint_eq(take(REIN_TRACE_GPU), 0);
	ck_assert_uint_gt(n_records, 100);
	expect_state(p.pid, "off");
	end(&p);
	rig_fini(&rig);
}
TEST_END

/* Nor where nobody records what it would say. */
TEST(nothing_is_traced_without_a_recording)
{
	start("off", "on");
	struct proc p = run("loop");
	rig_expect_progress(&rig, p.pid, "submissions", 100, WAIT_MS);
	ck_assert(!has_mapped(p.pid, "librein-cupti.so") && agent_gone(&p.pid));
	end(&p);
	rig_fini(&rig);
}
TEST_END

static void ask_for(const char *request, bool ok)
{
	json_t *answer = raw_ask(rig.dir, request);
	ck_assert_msg(json_is_true(json_object_get(answer, "ok")) == ok, "%s", request);
	json_decref(answer);
}

static char request[128];
static unsigned had;

/* A slow machine may need to be asked more than once: it is for 700 ms each time. */
static bool more_on_demand(void *unused)
{
	ask_for(request, true);
	return take(REIN_TRACE_GPU) > had;
}

/* A running program, for a while, and only that one; then again. */
TEST(a_running_program_is_traced_on_demand)
{
	start("off", "off");
	struct proc p = run("loop"), other = run("loop");
	rig_expect_progress(&rig, p.pid, "submissions", 20, WAIT_MS);
	rig_expect_progress(&rig, other.pid, "submissions", 20, WAIT_MS);
	ask_for("{\"op\":\"trace\",\"cupti\":true}", false);
	ask_for("{\"op\":\"trace\",\"record_ms\":100,\"cupti\":true,\"pid\":1}", false);
	snprintf(request, sizeof(request),
	         "{\"op\":\"trace\",\"record_ms\":700,\"cupti\":true,\"pid\":%d}", (int)p.pid);
	for (int i = 0; i < 2; i++) {
		had = take(REIN_TRACE_GPU);
		ck_assert(eventually(more_on_demand, NULL, WAIT_MS));
		ck_assert(!has_mapped(other.pid, "librein-cupti.so"));
		expect_state(p.pid, "off");
		ck_assert(eventually(agent_gone, &p.pid, WAIT_MS));
	}
	end(&p);
	end(&other);
	rig_fini(&rig);
}
TEST_END

/* The first record after enabling late is left out, and counted; all others are there. */
TEST(late_enabling_loses_the_first_record)
{
	start("on", "off");
	struct proc p = run("wait");
	rig_expect_progress(&rig, p.pid, "submissions", 0, WAIT_MS);
	ask_for("{\"op\":\"trace\",\"record_ms\":60000,\"cupti\":true}", true);
	expect_state(p.pid, "on");
	proc_kill(&p, SIGUSR1);
	ck_assert_int_eq(proc_wait(&p, output, sizeof(output), RUN_MS), 0);
	ck_assert_ptr_null(strstr(output, "too late")); /* it ends before CUPTI's library does */
	ck_assert_uint_eq(take(REIN_TRACE_GPU), 10 - 1);
	ck_assert_uint_eq(take((enum rein_trace_kind)REIN_TRACE_LOST), 1);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- others who want CUPTI */

TEST(who_has_cupti_keeps_it)
{
	start("on", "on");
	struct proc p = run("first");
	expect_state(p.pid, "taken");
	rig_expect_progress(&rig, p.pid, "submissions", 50, WAIT_MS);
	ck_assert(agent_gone(&p.pid));
	ck_assert_uint_eq(take(REIN_TRACE_GPU), 0);
	proc_kill(&p, SIGUSR1);
	ck_assert_int_eq(proc_wait(&p, output, sizeof(output), RUN_MS), 0);
	const char *line = strstr(output, "another profiler has CUPTI: CUPTI for a test");
	ck_assert_msg(line != NULL, "%s", output);
	ck_assert_ptr_null(strstr(line + 1, "another profiler")); /* once */
	rig_fini(&rig);
}
TEST_END

static void yields_to(const char *mode)
{
	char line[64] = "";
	start("on", "on");
	struct proc p = run(mode);
	expect_state(p.pid, "on");
	ck_assert(eventually(any_times, NULL, WAIT_MS));
	proc_kill(&p, SIGUSR1);
	for (size_t n = 0; !strstr(line, "subscribe: ") || line[n - 1] != '\n';) {
		ssize_t got = read(p.out, line + n, sizeof(line) - 1 - n);
		ck_assert_int_gt(got, 0);
		n += (size_t)got;
	}
	ck_assert_str_eq(strstr(line, "subscribe: "), "subscribe: 0\n");
	expect_state(p.pid, "taken");
	ck_assert(agent_gone(&p.pid));
	/* and never again */
	ask_for("{\"op\":\"trace\",\"record_ms\":1000,\"cupti\":true}", true);
	unsigned n = take(REIN_TRACE_GPU);
	rig_expect_progress(&rig, p.pid, "submissions",
	                    rig_counter(&rig, p.pid, "submissions") + 100, WAIT_MS);
	ck_assert_uint_eq(take(REIN_TRACE_GPU), n);
	end(&p);
	rig_fini(&rig);
}

TEST(who_asks_for_cupti_gets_it)
{
	yields_to("later cuptiSubscribe");
	yields_to("later cuptiSubscribe_v2");
	yields_to("later cuptiActivityRegisterCallbacks");
}
TEST_END

TEST(who_is_linked_with_cupti_gets_it)
{
	yields_to("linked cuptiSubscribe");
	yields_to("linked cuptiSubscribe_v2");
	yields_to("linked cuptiActivityRegisterCallbacks");
}
TEST_END

/* tests/clients/cupti.c compares all that CUPTI gives it with what it did, to the last record. */
TEST(a_program_that_profiles_itself_sees_no_difference)
{
	static const char *const checks[] = {"records", "disable",   "calls",
	                                     "buffers", "subscribe", "callbacks",
	                                     "graph",   "threads",   "exit"};
	start("on", "on");
	for (unsigned i = 0; i < REIN_ARRAY_LEN(checks); i++) {
		struct proc p = rig_start(&rig, 0, "tests/clients/cupti", checks[i]);
		int status = proc_wait(&p, output, sizeof(output), RUN_MS);
		ck_assert_msg(status == 0 && strstr(output, "ok\n"), "%s: status %d\n%s", checks[i],
		              status, output);
	}
	ck_assert_uint_eq(take(REIN_TRACE_GPU), 0);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- ends */

TEST(the_agent_ends_with_the_daemon_and_comes_again)
{
	start("on", "on");
	struct proc p = run("loop");
	expect_state(p.pid, "on");
	proc_kill(&rig.daemon, SIGKILL);
	proc_wait(&rig.daemon, NULL, 0, WAIT_MS);
	ck_assert(eventually(agent_gone, &p.pid, WAIT_MS));
	agent_daemon("on", "on");
	expect_state(p.pid, "on");
	ck_assert(eventually(agent_there, &p.pid, WAIT_MS));
	unsigned n = take(REIN_TRACE_GPU);
	while (take(REIN_TRACE_GPU) <= n)
		usleep(10000);
	proc_kill(&p, SIGUSR1);
	ck_assert_int_eq(proc_wait(&p, output, sizeof(output), RUN_MS), 0);
	ck_assert_ptr_nonnull(strstr(output, "ok\n"));
	rig_fini(&rig);
}
TEST_END

TEST(forks_captures_and_kills)
{
	start("on", "on");
	struct proc p = run("fork");
	ck_assert_int_eq(proc_wait(&p, output, sizeof(output), RUN_MS), 0);
	ck_assert_ptr_nonnull(strstr(output, "child: 0\nok\n"));
	p = run("capture");
	expect_state(p.pid, "on");
	rig_expect_progress(&rig, p.pid, "submissions", 20, WAIT_MS);
	ask_for("{\"op\":\"reload\"}", true);
	proc_kill(&p, SIGUSR1);
	ck_assert_int_eq(proc_wait(&p, output, sizeof(output), RUN_MS), 0);
	ck_assert_ptr_nonnull(strstr(output, "ok\n"));
	p = run("loop");
	expect_state(p.pid, "on");
	ck_assert(eventually(any_times, NULL, WAIT_MS));
	end(&p); /* SIGKILL */
	ck_assert_uint_gt(take(REIN_TRACE_GPU), 0);
	rig_fini(&rig);
}
TEST_END

/* Without CUPTI the program runs as ever, and one line says so. */
TEST(no_cupti)
{
	start("on", "on");
	setenv("REIN_CUPTI", "/nonexistent/libcupti.so", 1);
	struct proc p = run("loop");
	unsetenv("REIN_CUPTI");
	expect_state(p.pid, "failed");
	proc_kill(&p, SIGUSR1);
	ck_assert_int_eq(proc_wait(&p, output, sizeof(output), RUN_MS), 0);
	ck_assert_ptr_nonnull(strstr(output, "no GPU times of this program: "
	                                     "/nonexistent/libcupti.so cannot be loaded"));
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- the kernel-time model */

static bool knows_add(void *pid)
{
	json_t *ps = raw_ask(rig.dir, "{\"op\":\"clients\"}"), *c;
	bool knows = false;
	size_t i;
	json_array_foreach(json_object_get(ps, "clients"), i, c)
	{
		double ms = json_number_value(json_object_get(c, "longest_kernel_ms"));
		knows |= json_integer_value(json_object_get(c, "pid")) == *(pid_t *)pid &&
		         ms > 0.29 && ms < 0.31;
	}
	json_decref(ps);
	return knows;
}

TEST(times_and_names_teach_the_model)
{
	bool named = false;
	start("on", "on");
	struct proc p = run("loop");
	ck_assert(eventually(knows_add, &p.pid, WAIT_MS));
	proc_kill(&p, SIGUSR1);
	ck_assert_int_eq(proc_wait(&p, NULL, 0, RUN_MS), 0);
	take(REIN_TRACE_GPU);
	for (unsigned i = 0; i < n_records; i++) {
		struct rein_trace_name n;
		memcpy(&n, &records[i], sizeof(n));
		named |= n.kind == REIN_TRACE_KERNEL && strcmp(n.name, "add") == 0;
	}
	ck_assert(named);
	rig_fini(&rig);
}
TEST_END

TESTS("GPU times", each_record_is_the_log_and_its_submission, off_costs_nothing,
      nothing_is_traced_without_a_recording, a_running_program_is_traced_on_demand,
      late_enabling_loses_the_first_record, who_has_cupti_keeps_it, who_asks_for_cupti_gets_it,
      who_is_linked_with_cupti_gets_it, a_program_that_profiles_itself_sees_no_difference,
      the_agent_ends_with_the_daemon_and_comes_again, forks_captures_and_kills, no_cupti,
      times_and_names_teach_the_model)

#else
int main(void)
{
	puts("skipped: the CUPTI double is not built, for cupti.h is missing");
	return 77;
}
#endif
