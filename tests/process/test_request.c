// SPDX-License-Identifier: Apache-2.0
/*
 * test_request.c: programs that declare their requests (include/rein.h, NVTX) beside others on one
 * device, under the daemon; without the shim; and with the shim disabled.
 */
#include "tests/rig.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 15000
#define TIMES "add=2ms,be_step=2ms"
#define GAP_MS 60 /* of a request: hundreds of lingers */

static struct rig rig;
/* How a program with requests comes to rein; the stand-in needs no LD_PRELOAD. */
static enum { PRELOADED, STANDIN, BOTH } way;

/* The class of everybody here: others are held for it as long as the test takes. */
static void rig_with(const char *class_lines)
{
	char path[128];
	rig_init(&rig, TIMES);
	snprintf(path, sizeof(path), "%s/rein.conf", rig.dir);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "[class default]\n%s\n", class_lines);
	fclose(f);
	char *argv[] = {
	    (char *)built("reind"), "--foreground", "--run-dir", rig.dir, "--config", path, NULL};
	rig.daemon = proc_start(argv, (char *[]){rig.env[0], NULL});
	json_t *status;
	for (int i = 0; (status = rig_rein(&rig, "status")) == NULL && i < WAIT_MS / 10; i++)
		usleep(10000);
	ck_assert_msg(status != NULL, "the daemon did not come up");
	json_decref(status);
}

static const char *file(const char *name)
{
	static char path[4][128];
	static unsigned n;
	snprintf(path[n %= 4], sizeof(path[0]), "%s/%s", rig.dir, name);
	return path[n++];
}

/* What a step wait=FILE waits for. */
static void let_go(const char *name)
{
	int fd = open(file(name), O_CREAT | O_WRONLY, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static struct proc start(int prio, const char *program, const char *args)
{
	char libraries[sizeof(rig.env[2])], prio_text[16];
	memcpy(libraries, rig.env[2], sizeof(libraries));
	if (way != PRELOADED)
		snprintf(rig.env[2], sizeof(rig.env[2]), "LD_LIBRARY_PATH=%s:%s", built(""),
		         built("softgpu"));
	snprintf(prio_text, sizeof(prio_text), "%d", prio);
	if (way == STANDIN)
		setenv("REIN_PRIO", prio_text, 1);
	struct proc p = rig_start(&rig, way == STANDIN ? -1 : prio, program, args);
	unsetenv("REIN_PRIO");
	memcpy(rig.env[2], libraries, sizeof(libraries));
	return p;
}

/* tests/clients/request with these steps; "@x" in them is the file x of the run directory. */
static struct proc steps(int prio, const char *line)
{
	char args[480];
	size_t n = 0;
	for (; *line && n + sizeof(rig.dir) + 2 < sizeof(args); line++)
		n += (size_t)snprintf(args + n, sizeof(args) - n, *line == '@' ? "%s/" : "%.1s",
		                      *line == '@' ? rig.dir : line);
	return start(prio, "tests/clients/request", args);
}

static struct proc best_effort(void)
{
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 60");
	rig_expect_progress(&rig, be.pid, "submissions", 3, WAIT_MS);
	return be;
}

static void stop_one(struct proc *p)
{
	proc_kill(p, SIGKILL);
	ck_assert_int_eq(proc_wait(p, NULL, 0, WAIT_MS), 128 + SIGKILL);
}

static json_t *declared(pid_t pid)
{
	json_t *ps = rig_rein(&rig, "ps"), *found = NULL, *c;
	size_t i;
	json_array_foreach(json_object_get(ps, "clients"), i, c)
	{
		if (json_integer_value(json_object_get(c, "pid")) == pid)
			found = json_incref(json_object_get(c, "declared"));
	}
	json_decref(ps);
	return found;
}

static bool in_request(void *pid)
{
	json_t *d = declared(*(pid_t *)pid);
	bool yes = json_integer_value(json_object_get(d, "open")) > 0;
	json_decref(d);
	return yes;
}

static bool in_no_request(void *pid)
{
	return !in_request(pid);
}

/* Held means held: at most the one submission that was past the check, over a long gap. */
static void expect_held(const struct proc *lc, const struct proc *be)
{
	rig_expect_state(&rig, be->pid, "waiting", WAIT_MS);
	ck_assert(eventually(in_request, (void *)(uintptr_t)&lc->pid, WAIT_MS));
	int64_t before = rig_counter(&rig, be->pid, "submissions");
	usleep(GAP_MS * 1000);
	ck_assert_int_le(rig_counter(&rig, be->pid, "submissions"), before + 1);
	rig_expect_state(&rig, be->pid, "waiting", WAIT_MS);
	rig_expect_state(&rig, lc->pid, "running", WAIT_MS);
}

static void expect_free(const struct proc *lc, const struct proc *be)
{
	rig_expect_state(&rig, lc->pid, "idle", WAIT_MS);
	rig_expect_progress(&rig, be->pid, "submissions",
	                    rig_counter(&rig, be->pid, "submissions") + 5, WAIT_MS);
}

/* ---------------------------------------------------------------- begin and end */

/* The gaps are long: only the end of the request lets others go on. */
static void held_from_to(const char *line)
{
	rig_with("patience = 60s");
	struct proc be = best_effort();
	struct proc lc = steps(50, line);
	expect_held(&lc, &be);
	let_go("1");
	expect_held(&lc, &be);
	let_go("2");
	ck_assert(eventually(in_no_request, &lc.pid, WAIT_MS));
	expect_free(&lc, &be);
	ck_assert_int_eq(rig_counter(&rig, lc.pid, "submissions"), 2);
	let_go("3");
	ck_assert_int_eq(proc_wait(&lc, NULL, 0, WAIT_MS), 0);
	stop_one(&be);
	rig_fini(&rig);
}

TEST(others_are_held_in_its_gaps)
{
	held_from_to("open joined begin launch sync wait=@1 launch sync wait=@2 end wait=@3");
}
TEST_END

/* The second one ends last, on another thread than it began. */
TEST(requests_of_two_threads)
{
	held_from_to("open joined begin tbegin launch sync wait=@1 end launch sync wait=@2 tend "
	             "wait=@3");
}
TEST_END

TEST(a_request_before_the_first_use)
{
	held_from_to("begin=1000 open joined launch sync wait=@1 launch sync wait=@2 end wait=@3");
}
TEST_END

TEST(an_end_before_the_work_is_done)
{
	rig_with("patience = 60s\nlinger = 1s");
	struct proc be = best_effort();
	struct proc lc = steps(50, "open joined begin launch end sync wait=@1");
	rig_expect_progress(&rig, lc.pid, "submissions", 0, WAIT_MS);
	expect_free(&lc, &be);
	let_go("1");
	ck_assert_int_eq(proc_wait(&lc, NULL, 0, WAIT_MS), 0);
	stop_one(&be);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- what ends without an end */

TEST(killed_inside_a_request)
{
	rig_with("patience = 60s");
	struct proc be = best_effort();
	struct proc lc = steps(50, "open joined begin launch sync wait=@never");
	expect_held(&lc, &be);
	stop_one(&lc);
	rig_expect_state(&rig, lc.pid, NULL, WAIT_MS);
	rig_expect_progress(&rig, be.pid, "submissions",
	                    rig_counter(&rig, be.pid, "submissions") + 5, WAIT_MS);
	stop_one(&be);
	rig_fini(&rig);
}
TEST_END

TEST(a_request_that_hangs)
{
	rig_with("patience = 50ms");
	struct proc be = best_effort();
	struct proc lc = steps(50, "open joined begin launch sync wait=@never");
	ck_assert(eventually(in_request, &lc.pid, WAIT_MS));
	rig_expect_progress(&rig, be.pid, "submissions",
	                    rig_counter(&rig, be.pid, "submissions") + 20, WAIT_MS);
	ck_assert(in_request(&lc.pid));
	stop_one(&lc);
	stop_one(&be);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- what is shown */

TEST(ps_shows_what_was_declared)
{
	rig_with("patience = 60s");
	struct proc lc =
	    steps(50, "open joined launch sync begin=3600000 begin=1 begin wait=@1 end "
	              "end end wait=@2");
	ck_assert(eventually(in_request, &lc.pid, WAIT_MS));
	usleep(5000);
	json_t *d = declared(lc.pid);
	ck_assert_int_eq(json_integer_value(json_object_get(d, "open")), 3);
	ck_assert_int_eq(json_integer_value(json_object_get(d, "late")), 0);
	ck_assert(json_is_false(json_object_get(d, "background")));
	ck_assert_double_lt(json_number_value(json_object_get(d, "deadline_ms")), 0);
	ck_assert_double_gt(json_number_value(json_object_get(d, "age_ms")), 0);
	json_decref(d);
	let_go("1");
	ck_assert(eventually(in_no_request, &lc.pid, WAIT_MS));
	d = declared(lc.pid);
	ck_assert_int_eq(json_integer_value(json_object_get(d, "late")), 1);
	ck_assert(json_is_null(json_object_get(d, "deadline_ms")));
	ck_assert(json_is_null(json_object_get(d, "age_ms")));
	json_decref(d);
	/* the guessed one before the first begin, and the declared ones */
	ck_assert_int_eq(rig_counter(&rig, lc.pid, "requests"), 4);
	let_go("2");
	ck_assert_int_eq(proc_wait(&lc, NULL, 0, WAIT_MS), 0);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- a restarted daemon */

TEST(a_new_daemon_learns_of_it)
{
	rig_with("patience = 60s");
	struct proc be = best_effort();
	struct proc lc = steps(50, "open joined begin launch sync wait=@1 end wait=@2");
	expect_held(&lc, &be);
	stop_one(&rig.daemon);
	char *argv[] = {(char *)built("reind"),
	                "--foreground",
	                "--run-dir",
	                rig.dir,
	                "--config",
	                (char *)file("rein.conf"),
	                NULL};
	rig.daemon = proc_start(argv, (char *[]){rig.env[0], NULL});
	expect_held(&lc, &be);
	let_go("1");
	expect_free(&lc, &be);
	let_go("2");
	ck_assert_int_eq(proc_wait(&lc, NULL, 0, WAIT_MS), 0);
	stop_one(&be);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- background threads */

/* Urgent and background work in one process, beside another one whose priority lies between. */
TEST(background_thread_of_an_urgent_process)
{
	rig_with("patience = 60s");
	struct proc p = steps(50, "open joined background wait=@1 begin launch sync wait=@2 end "
	                          "wait=@3");
	rig_expect_progress(&rig, p.pid, "submissions", 5, WAIT_MS);
	struct proc mid = rig_start(&rig, 10, "workloads/be", "--seconds 60");
	rig_expect_state(&rig, p.pid, "waiting", WAIT_MS); /* its background thread */
	rig_expect_progress(&rig, mid.pid, "submissions", 20, WAIT_MS);
	let_go("1");
	rig_expect_state(&rig, mid.pid, "waiting", WAIT_MS);
	rig_expect_state(&rig, p.pid, "running", WAIT_MS);
	let_go("2");
	rig_expect_state(&rig, p.pid, "waiting", WAIT_MS);
	int64_t before = rig_counter(&rig, mid.pid, "submissions");
	rig_expect_progress(&rig, mid.pid, "submissions", before + 20, WAIT_MS);
	stop_one(&mid);
	before = rig_counter(&rig, p.pid, "submissions");
	rig_expect_progress(&rig, p.pid, "submissions", before + 5, WAIT_MS);
	let_go("3");
	ck_assert_int_eq(proc_wait(&p, NULL, 0, WAIT_MS), 0);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- NVTX */

static struct proc nvtx_steps(const char *line)
{
	setenv("NVTX_INJECTION64_PATH", built(way == STANDIN ? "libcuda.so.1" : "librein.so"), 1);
	struct proc p = steps(50, line);
	unsetenv("NVTX_INJECTION64_PATH");
	return p;
}

static void nvtx_held_from_to(const char *line)
{
	char out[1024] = "";
	rig_with("patience = 60s");
	struct proc none = nvtx_steps("push=x pop");
	if (proc_wait(&none, out, sizeof(out), WAIT_MS) == 77) {
		puts("left out: NVTX ranges (needs nvtx3/nvToolsExt.h)");
	} else {
		struct proc be = best_effort();
		struct proc lc = nvtx_steps(line);
		expect_held(&lc, &be);
		let_go("1");
		expect_free(&lc, &be);
		ck_assert_int_eq(rig_counter(&rig, lc.pid, "requests"), 1);
		let_go("2");
		ck_assert_int_eq(proc_wait(&lc, NULL, 0, WAIT_MS), 0);
		stop_one(&be);
	}
	rig_fini(&rig);
}

TEST(nvtx_ranges_are_requests)
{
	nvtx_held_from_to(
	    "open joined push=rein:request?deadline=20ms push=forward launch sync pop "
	    "wait=@1 pop wait=@2");
}
TEST_END

TEST(nvtx_domain_ranges_are_requests)
{
	nvtx_held_from_to("open joined push=outer dpush=rein:request launch sync pop wait=@1 dpop "
	                  "wait=@2");
}
TEST_END

/* ---------------------------------------------------------------- the stand-in, and both */

TEST(requests_through_the_stand_in)
{
	for (way = STANDIN; way <= BOTH; way++)
		held_from_to("begin=1000 open joined launch sync wait=@1 launch sync wait=@2 end "
		             "wait=@3");
	way = PRELOADED;
}
TEST_END

TEST(nvtx_ranges_through_the_stand_in)
{
	for (way = STANDIN; way <= BOTH; way++)
		nvtx_held_from_to("open joined push=rein:request launch sync wait=@1 pop wait=@2");
	way = PRELOADED;
}
TEST_END

TEST(requests_without_a_linked_driver)
{
	static const char *const want[] = {"present before: 1, then: 1\n",
	                                   "present before: 0, then: 1\n",
	                                   "present before: 1, then: 1\n"};
	char out[1024];
	for (way = PRELOADED; way <= BOTH; way++) {
		rig_with("");
		struct proc p = start(50, "tests/clients/request_dlopen", file("1"));
		ck_assert_msg(eventually(in_request, &p.pid, WAIT_MS), "way %d", (int)way);
		let_go("1");
		ck_assert_int_eq(proc_wait(&p, out, sizeof(out), WAIT_MS), 0);
		ck_assert_str_eq(out, want[way]);
		rig_fini(&rig);
	}
	way = PRELOADED;
}
TEST_END

/* ---------------------------------------------------------------- without rein */

#define NOTHING                                                                                    \
	"present=0 joined=0 priority=-1 request=0 background=0 threads=0 sockets=0 "               \
	"dlsym=libcuda.so.1 proc=libcuda.so.1\n"
#define ALL "begin open launch sync end facts push=rein:request pop"

static void expect_nothing(struct proc p)
{
	char out[2048];
	ck_assert_int_eq(proc_wait(&p, out, sizeof(out), WAIT_MS), 0);
	ck_assert_msg(strstr(out, NOTHING) != NULL, "%s", out);
}

TEST(no_shim_no_effect)
{
	rig_with("");
	expect_nothing(steps(-1, ALL));
	rig_fini(&rig);
}
TEST_END

TEST(disabled_shim_no_effect)
{
	rig_with("");
	setenv("REIN_DISABLE", "1", 1);
	expect_nothing(steps(50, ALL));
	expect_nothing(nvtx_steps(ALL));
	unsetenv("REIN_DISABLE");
	/* the same, not disabled, is the opposite in everything */
	struct proc p = steps(50, "begin open joined launch sync end facts");
	char out[2048];
	ck_assert_int_eq(proc_wait(&p, out, sizeof(out), WAIT_MS), 0);
	ck_assert_msg(strstr(out, "present=1 joined=1 priority=50 request=1 background=1 "
	                          "threads=2") != NULL &&
	                  strstr(out, "sockets=0") == NULL &&
	                  strstr(out, "dlsym=librein.so proc=librein.so\n") != NULL,
	              "%s", out);
	rig_fini(&rig);
}
TEST_END

/* A library that only NVTX has loaded is not in the program's way, and does nothing. */
TEST(injected_but_not_preloaded)
{
	rig_with("");
	setenv("NVTX_INJECTION64_PATH", built("librein.so"), 1);
	struct proc p = steps(-1, "push=rein:request open launch sync facts pop");
	unsetenv("NVTX_INJECTION64_PATH");
	char out[2048];
	int status = proc_wait(&p, out, sizeof(out), WAIT_MS);
	ck_assert(status == 77 || (status == 0 && strstr(out, "threads=0 sockets=0 "
	                                                      "dlsym=libcuda.so.1 "
	                                                      "proc=libcuda.so.1\n")));
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- the header by itself */

static bool compiles(char *compiler, char *standard, char *language, const char *program)
{
	char out[4096] = "", source[128], include[64] = "-Iinclude";
	snprintf(source, sizeof(source), "%s/app", rig.dir);
	FILE *f = fopen(source, "w");
	ck_assert_ptr_nonnull(f);
	fputs("#include <rein.h>\n"
	      "int main(void)\n{\n"
	      "	rein_request_end(rein_request_begin(0, 1));\n"
	      "	return rein_present() + rein_joined() + rein_thread_background(1) +\n"
	      "	       (rein_priority() != -1);\n}\n",
	      f);
	fclose(f);
	char *argv[] = {"/usr/bin/env", compiler,       standard,  "-pedantic",     "-Wall",
	                "-Wextra",      "-Wconversion", "-Werror", include,         "-x",
	                language,       source,         "-o",      (char *)program, NULL};
	int status = proc_run(argv, NULL, out, sizeof(out), 60000);
	if (status == 127) {
		printf("left out: rein.h by %s (not installed)\n", compiler);
		return false;
	}
	ck_assert_msg(status == 0, "%s %s: %s", compiler, standard, out);
	return true;
}

TEST(the_header_needs_nothing_else)
{
	static const struct {
		char *compiler, *standard, *language;
	} as[] = {{"gcc", "-std=c99", "c"},
	          {"clang", "-std=c99", "c"},
	          {"g++", "-std=c++11", "c++"},
	          {"clang++", "-std=c++20", "c++"}};
	rig_with("");
	for (size_t i = 0; i < sizeof(as) / sizeof(as[0]); i++) {
		char program[128];
		snprintf(program, sizeof(program), "%s/app-%zu", rig.dir, i);
		if (!compiles(as[i].compiler, as[i].standard, as[i].language, program))
			continue;
		/* linked with nothing, not even the driver: and without rein all of it is 0 */
		ck_assert_int_eq(proc_run((char *[]){program, NULL}, NULL, NULL, 0, WAIT_MS), 0);
	}
	rig_fini(&rig);
}
TEST_END

TESTS("declared requests", the_header_needs_nothing_else, others_are_held_in_its_gaps,
      requests_of_two_threads, a_request_before_the_first_use, an_end_before_the_work_is_done,
      killed_inside_a_request, a_request_that_hangs, ps_shows_what_was_declared,
      a_new_daemon_learns_of_it, background_thread_of_an_urgent_process, nvtx_ranges_are_requests,
      nvtx_domain_ranges_are_requests, requests_through_the_stand_in,
      nvtx_ranges_through_the_stand_in, requests_without_a_linked_driver, no_shim_no_effect,
      disabled_shim_no_effect, injected_but_not_preloaded)
