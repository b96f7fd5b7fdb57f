// SPDX-License-Identifier: Apache-2.0
/* test_daemon.c: reind alone: starting, stopping, a second one, bad options and configurations,
 * reload, the background, what a dead one leaves, readiness, the control socket. */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "tests/process/raw_client.h"

static bool exists(const char *dir, const char *file)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return access(path, F_OK) == 0;
}

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static unsigned lines(const char *text)
{
	unsigned n = 0;
	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static int run_reind(char *const args[], char *out, size_t len)
{
	char *argv[16] = {(char *)built("reind")};
	for (unsigned i = 0; args[i]; i++)
		argv[1 + i] = args[i];
	return proc_run(argv, NULL, out, len, WAIT_MS);
}

/* ---------------------------------------------------------------- starting and stopping */

TEST(it_starts_listens_and_stops_cleanly)
{
	struct daemon d = {0};
	struct stat st;
	char out[4096], path[256];
	for (unsigned i = 0; i < 2; i++) {
		daemon_start(&d, NULL);
		snprintf(path, sizeof(path), "%s/" REIN_CLIENT_SOCKET, d.dir);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert_uint_eq(st.st_mode & 0777, 0666);
		snprintf(path, sizeof(path), "%s/" REIN_CONTROL_SOCKET, d.dir);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert_uint_eq(st.st_mode & 0777, 0660);
		ck_assert(exists(d.dir, REIN_PIDFILE));
		ck_assert_int_eq(daemon_end(&d, i ? SIGINT : SIGTERM, out, sizeof(out)), 0);
		ck_assert(!exists(d.dir, REIN_CLIENT_SOCKET));
		ck_assert(!exists(d.dir, REIN_CONTROL_SOCKET));
		ck_assert(!exists(d.dir, REIN_PIDFILE));
	}
}
TEST_END

TEST(its_end_opens_all_gates)
{
	struct daemon d = {0};
	struct raw be, lc;
	daemon_start(&d, NULL);
	raw_join(&be, d.dir, "be", 0);
	raw_join(&lc, d.dir, "lc", 50);
	raw_demand(&lc, REIN_DEMAND_ACTIVE);
	ck_assert(eventually(raw_closed, &be, WAIT_MS));
	ck_assert_int_eq(daemon_end(&d, SIGTERM, NULL, 0), 0);
	ck_assert(raw_fully_open(&be));
	char drop[8];
	ck_assert_int_eq(rein_sock_recv(be.sock, drop, sizeof(drop), NULL, NULL, WAIT_MS), 0);
}
TEST_END

TEST(a_second_one_says_who_serves_and_changes_nothing)
{
	struct daemon d = {0};
	char out[4096], expected[256];
	daemon_start(&d, NULL);
	for (unsigned i = 0; i < 2; i++) {
		char *args[] = {"--run-dir", d.dir, i ? "--background" : "--foreground", NULL};
		ck_assert_int_eq(run_reind(args, out, sizeof(out)), 1);
		snprintf(expected, sizeof(expected), "another reind (pid %d) serves %s\n",
		         (int)d.p.pid, d.dir);
		ck_assert_msg(strstr(out, expected) != NULL, "%s", out);
		ck_assert_uint_eq(lines(out), 1);
	}
	ck_assert_int_eq(raw_count_clients(d.dir), 0);
	ck_assert_int_eq(daemon_end(&d, SIGTERM, NULL, 0), 0);
}
TEST_END

TEST(what_a_killed_one_left_is_replaced)
{
	struct daemon d = {0};
	struct raw r;
	daemon_start(&d, NULL);
	ck_assert_int_eq(daemon_end(&d, SIGKILL, NULL, 0), 128 + SIGKILL);
	ck_assert(exists(d.dir, REIN_CLIENT_SOCKET) && exists(d.dir, REIN_PIDFILE));
	daemon_start_again(&d, NULL);
	raw_join(&r, d.dir, "x", 0);
	ck_assert_int_eq(daemon_end(&d, SIGTERM, NULL, 0), 0);
}
TEST_END

static bool pid_is_gone(void *arg)
{
	return kill(*(pid_t *)arg, 0) < 0 && errno == ESRCH;
}

TEST(in_the_background_it_returns_when_it_listens)
{
	char dir[128], out[4096], path[256];
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	char *args[] = {"--background", "--run-dir", dir, NULL};
	ck_assert_int_eq(run_reind(args, out, sizeof(out)), 0);
	ck_assert_str_eq(out, "");
	ck_assert(raw_answers(dir)); /* at once */
	snprintf(path, sizeof(path), "%s/" REIN_PIDFILE, dir);
	FILE *f = fopen(path, "r");
	pid_t pid = 0;
	ck_assert_int_eq(fscanf(f, "%d", &pid), 1);
	fclose(f);
	json_t *answer = raw_ask(dir, "{\"op\":\"status\"}");
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "pid")), pid);
	json_decref(answer);
	ck_assert_int_eq(run_reind(args, out, sizeof(out)), 1);
	json_decref(raw_ask(dir, "{\"op\":\"stop\"}"));
	ck_assert(eventually(pid_is_gone, &pid, WAIT_MS));
	ck_assert(!exists(dir, REIN_CLIENT_SOCKET) && exists(dir, "reind.log"));
}
TEST_END

static bool gone(void *arg)
{
	const struct daemon *d = arg;
	return !exists(d->dir, REIN_PIDFILE);
}

TEST(it_can_end_when_nobody_is_there)
{
	struct daemon d = {0};
	char *extra[] = {"--exit-when-idle", "1", NULL};
	daemon_start(&d, extra);
	ck_assert(eventually(gone, &d, WAIT_MS));
	ck_assert_int_eq(proc_wait(&d.p, NULL, 0, WAIT_MS), 0);
}
TEST_END

TEST(it_tells_the_supervisor)
{
	char dir[128], env[200], buf[64];
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	struct sockaddr_un addr;
	ck_assert_int_eq(rein_sock_addr(&addr, dir, "notify"), 0);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	snprintf(env, sizeof(env), "NOTIFY_SOCKET=%s", addr.sun_path);
	char *argv[] = {(char *)built("reind"), "--run-dir", dir, NULL};
	char *envs[] = {env, "WATCHDOG_USEC=200000", NULL};
	struct proc p = proc_start(argv, envs);
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	static const char *const expected[] = {"READY=1", "WATCHDOG=1", "WATCHDOG=1"};
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(poll(&pfd, 1, WAIT_MS), 1);
		ssize_t n = recv(fd, buf, sizeof(buf) - 1, 0);
		buf[n] = 0;
		ck_assert_str_eq(buf, expected[i]);
	}
	proc_kill(&p, SIGTERM);
	ck_assert_int_eq(proc_wait(&p, NULL, 0, WAIT_MS), 0);
}
TEST_END

/* ---------------------------------------------------------------- bad input */

TEST(usage_errors_are_one_line_and_status_2)
{
	static const struct {
		char *args[4];
		const char *error;
	} cases[] = {
	    {{"--policy", "nope"},
	     "reind: unknown policy 'nope'; accepted: classes, prio, edf, cbs, fair, mlfq, fifo\n"},
	    {{"--mode", "fast"}, "reind: unknown mode 'fast'; accepted: adaptive, spin, sleep\n"},
	    {{"--exit-when-idle", "0"},
	     "reind: bad time '0' for --exit-when-idle; accepted: "
	     "whole seconds from 1 to 1000000\n"},
	    {{"start"}, "reind: unexpected argument 'start'; accepted: options only, see --help\n"},
	    {{"--run-dir", ""},
	     "reind: run directory '' is empty or too long; accepted: at "
	     "most 95 characters\n"},
	};
	char out[4096];
	for (unsigned i = 0; i < REIN_ARRAY_LEN(cases); i++) {
		ck_assert_int_eq(run_reind(cases[i].args, out, sizeof(out)), 2);
		ck_assert_str_eq(out, cases[i].error);
	}
	char *unknown[] = {"--nope", NULL};
	ck_assert_int_eq(run_reind(unknown, out, sizeof(out)), 2);
	ck_assert_ptr_nonnull(strstr(out, "--nope"));
	char *version[] = {"--version", NULL}, *help[] = {"--help", NULL};
	ck_assert_int_eq(run_reind(version, out, sizeof(out)), 0);
	ck_assert_int_eq(strncmp(out, "reind ", 6), 0);
	ck_assert_int_eq(run_reind(help, out, sizeof(out)), 0);
	ck_assert_ptr_nonnull(strstr(out, "higher is more urgent"));
}
TEST_END

TEST(a_bad_configuration_leaves_nothing_half_started)
{
	char dir[128], conf[160], run[160], out[4096];
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	snprintf(conf, sizeof(conf), "%s/rein.conf", dir);
	snprintf(run, sizeof(run), "%s/run", dir);
	put_file(conf, "[class x]\nprioritty = 1\n");
	for (unsigned i = 0; i < 2; i++) {
		char *args[] = {
		    "--config", conf, "--run-dir", run, i ? "--background" : "--foreground", NULL};
		ck_assert_int_eq(run_reind(args, out, sizeof(out)), 1);
		ck_assert_ptr_nonnull(strstr(out, "rein.conf:2: unknown key 'prioritty'"));
		ck_assert_uint_eq(lines(out), 1);
		ck_assert_int_lt(access(run, F_OK), 0);
	}
	char *missing[] = {"--config", "/nonesuch.conf", "--run-dir", run, NULL};
	ck_assert_int_eq(run_reind(missing, out, sizeof(out)), 1);
	ck_assert_ptr_nonnull(strstr(out, "cannot read the configuration /nonesuch.conf: No such"));
	ck_assert_uint_eq(lines(out), 1);
	ck_assert_int_lt(access(run, F_OK), 0);
}
TEST_END

TEST(a_run_directory_that_will_not_do)
{
	char dir[128], path[160], out[4096];
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	snprintf(path, sizeof(path), "%s/x", dir);
	char *args[] = {"--run-dir", path, NULL};
	put_file(path, "");
	ck_assert_int_eq(run_reind(args, out, sizeof(out)), 1);
	ck_assert_ptr_nonnull(strstr(out, "is not a directory"));
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0777), 0);
	ck_assert_int_eq(chmod(path, 0777), 0);
	ck_assert_int_eq(run_reind(args, out, sizeof(out)), 1);
	ck_assert_ptr_nonnull(strstr(out, "can be written by others"));
	ck_assert_uint_eq(lines(out), 1);
	char *deep[] = {"--run-dir", "/nonesuch/deep", NULL};
	ck_assert_int_eq(run_reind(deep, out, sizeof(out)), 1);
	ck_assert_ptr_nonnull(strstr(out, "cannot make the run directory /nonesuch/deep: No such"));
}
TEST_END

/* Without permission; only root can play an unprivileged user here. */
TEST(no_permission_for_the_run_directory)
{
	if (geteuid() != 0)
		return;
	char dir[128], own[160], bin[160], cmd[1024], out[4096];
	snprintf(dir, sizeof(dir), "%s", temp_dir());
	ck_assert_int_eq(chmod(dir, 0755), 0);
	snprintf(bin, sizeof(bin), "%s/reind", dir);
	snprintf(own, sizeof(own), "%s/own", dir);
	ck_assert_int_eq(mkdir(own, 0755), 0);
	snprintf(cmd, sizeof(cmd),
	         "cp '%s' '%s' && exec setpriv --reuid 65534 --regid 65534 --clear-groups '%s' "
	         "--run-dir '%s'",
	         built("reind"), bin, bin, own);
	char *argv[] = {"sh", "-c", cmd, NULL};
	ck_assert_int_eq(proc_run(argv, NULL, out, sizeof(out), WAIT_MS), 1);
	char *line = strstr(out, "cannot write ");
	ck_assert_msg(line && strstr(line, "reind.pid: Permission denied; "), "%s", out);
	ck_assert_uint_eq(lines(out), 1);
}
TEST_END

/* ---------------------------------------------------------------- reload */

static const char *class_prio(const char *dir, const char *name)
{
	static char text[32];
	json_t *answer = raw_ask(dir, "{\"op\":\"classes\"}"), *c;
	size_t i;
	strcpy(text, "none");
	json_array_foreach(json_object_get(answer, "classes"), i,
	                   c) if (strcmp(json_string_value(json_object_get(c, "name")), name) == 0)
	    snprintf(text, sizeof(text), "%d", (int)json_integer_value(json_object_get(c, "prio")));
	json_decref(answer);
	return text;
}

static bool prio_is_7(void *dir)
{
	return strcmp(class_prio(dir, "x"), "7") == 0;
}

static bool control_prio_is_7(void *arg)
{
	return rein_load_acquire(&((struct raw *)arg)->control->prio) == 7;
}

TEST(a_reload_takes_all_or_nothing)
{
	struct daemon d = {0};
	struct raw r;
	char conf[160], out[8192];
	snprintf(conf, sizeof(conf), "%s/rein.conf", temp_dir());
	put_file(conf, "[class x]\npriority = 5\n");
	char *extra[] = {"--config", conf, NULL};
	daemon_start(&d, extra);
	struct rein_msg_hello h = raw_hello("r", REIN_PRIO_UNSET);
	strcpy(h.class_name, "x");
	ck_assert_int_eq(raw_greet(&r, d.dir, &h, sizeof(h)), sizeof(r.w));
	ck_assert_int_eq(r.w.prio, 5);
	ck_assert_str_eq(r.w.class_name, "x");
	r.control = raw_map(r.fd[REIN_FD_CONTROL], PROT_READ);

	put_file(conf, "[class x]\npriority = 7\n[class y]\n");
	kill(d.p.pid, SIGHUP);
	ck_assert(eventually(prio_is_7, d.dir, WAIT_MS));
	ck_assert(eventually(control_prio_is_7, &r, WAIT_MS)); /* who is there already too */

	put_file(conf, "[class x]\npriority = 9\n[class z]\nweight = no\n");
	kill(d.p.pid, SIGHUP);
	json_t *answer = raw_ask(d.dir, "{\"op\":\"reload\"}"); /* after the signal or before */
	ck_assert(json_is_false(json_object_get(answer, "ok")));
	ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(answer, "error")),
	                             "rein.conf:4: bad weight 'no'"));
	json_decref(answer);
	ck_assert_str_eq(class_prio(d.dir, "x"), "7");
	ck_assert_str_eq(class_prio(d.dir, "y"), "0");
	ck_assert_str_eq(class_prio(d.dir, "z"), "none");
	ck_assert_int_eq(daemon_end(&d, SIGTERM, out, sizeof(out)), 0);
	ck_assert_ptr_nonnull(strstr(out, "rein.conf:4: bad weight 'no'"));
	ck_assert_ptr_nonnull(strstr(out, "the old configuration stays"));
}
TEST_END

/* ---------------------------------------------------------------- control socket */

TEST(changes_apply_live)
{
	struct daemon d = {0};
	struct raw a, b;
	char request[128];
	daemon_start(&d, NULL);
	raw_join(&a, d.dir, "a", 10);
	raw_join(&b, d.dir, "b", 20);
	raw_demand(&b, REIN_DEMAND_ACTIVE);
	ck_assert(eventually(raw_closed, &a, WAIT_MS));
	snprintf(request, sizeof(request), "{\"op\":\"set\",\"id\":%u,\"prio\":90,\"weight\":7}",
	         a.w.client_id);
	json_t *answer = raw_ask(d.dir, request);
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "prio")), 90);
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "weight")), 7);
	ck_assert(json_is_true(json_object_get(answer, "ok")));
	json_decref(answer);
	ck_assert(raw_open(&a));
	ck_assert_uint_eq(rein_load_acquire(&a.control->prio), 90);

	raw_demand(&a, REIN_DEMAND_ACTIVE);
	ck_assert(eventually(raw_closed, &b, WAIT_MS));
	answer = raw_ask(d.dir, "{\"op\":\"policy\",\"set\":\"fifo\"}");
	ck_assert_str_eq(json_string_value(json_object_get(answer, "policy")), "fifo");
	json_decref(answer);
	ck_assert(raw_fully_open(&b));
	ck_assert_int_eq(daemon_end(&d, SIGTERM, NULL, 0), 0);
}
TEST_END

TEST(what_clients_shows)
{
	struct daemon d = {0};
	struct raw be, lc;
	daemon_start(&d, NULL);
	raw_join(&be, d.dir, "be \033[31m", 0);
	raw_join(&lc, d.dir, "", 50);
	raw_demand(&be, REIN_DEMAND_ACTIVE | REIN_DEMAND_WAITING);
	raw_demand(&lc, REIN_DEMAND_ACTIVE);
	rein_store_relaxed(&be.status->total.gate_waits, UINT64_MAX); /* a lie must not hurt */
	ck_assert(eventually(raw_closed, &be, WAIT_MS));
	json_t *answer = raw_ask(d.dir, "{\"op\":\"clients\"}");
	const json_t *list = json_object_get(answer, "clients");
	ck_assert_uint_eq(json_array_size(list), 2);
	int id, pid, prio, weight, uid;
	const char *name, *class, *state, *by;
	json_t *devices;
	ck_assert_int_eq(json_unpack(json_array_get(list, 0),
	                             "{s:i,s:i,s:i,s:s,s:s,s:i,s:i,s:s,s:o,s:{s:s}}", "id", &id,
	                             "pid", &pid, "uid", &uid, "name", &name, "class", &class,
	                             "prio", &prio, "weight", &weight, "state", &state, "devices",
	                             &devices, "held_for", "name", &by),
	                 0);
	ck_assert_uint_eq((unsigned)id, be.w.client_id);
	ck_assert_int_eq(pid, getpid());
	ck_assert_str_eq(name, "be ?[31m");
	ck_assert_str_eq(class, "default");
	ck_assert(prio == 0 && weight == 100);
	ck_assert_str_eq(state, "waiting");
	ck_assert_str_eq(by, "test_daemon"); /* no name given: the executable's */
	ck_assert_uint_eq(json_array_size(devices), 1);
	ck_assert_str_eq(json_string_value(json_array_get(devices, 0)),
	                 "GPU-abababab-abab-abab-abab-abababababab");
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 1), "state")),
	                 "running");
	ck_assert(json_is_null(json_object_get(json_array_get(list, 1), "held_for")));
	json_decref(answer);
	ck_assert_int_eq(daemon_end(&d, SIGTERM, NULL, 0), 0);
}
TEST_END

TEST(bad_requests_have_clear_answers)
{
	static const struct {
		const char *request, *code, *error;
	} cases[] = {
	    {"hello", "EINVAL", "not a JSON object"},
	    {"[]", "EINVAL", "not a JSON object"},
	    {"{}", "EINVAL", "with \"op\""},
	    {"{\"op\":7}", "EINVAL", "with \"op\""},
	    {"{\"op\":\"fly\"}", "EINVAL", "unknown op 'fly'; accepted: status"},
	    {"{\"op\":\"set\"}", "EINVAL", "needs pid or id"},
	    {"{\"op\":\"set\",\"id\":1}", "EINVAL", "needs prio, weight, class,"},
	    {"{\"op\":\"set\",\"id\":1,\"prio\":100}", "EINVAL",
	     "bad prio; accepted: a whole number from 0 to 99, higher is more urgent"},
	    {"{\"op\":\"set\",\"id\":1,\"prio\":\"high\"}", "EINVAL", "bad prio"},
	    {"{\"op\":\"set\",\"id\":1,\"weight\":0}", "EINVAL", "bad weight"},
	    {"{\"op\":\"set\",\"id\":-4,\"weight\":1}", "EINVAL", "bad id"},
	    {"{\"op\":\"set\",\"id\":12345,\"prio\":1}", "ESRCH", "no client with id 12345"},
	    {"{\"op\":\"set\",\"id\":1,\"class\":\"z\"}", "EINVAL",
	     "unknown class 'z'; known: default"},
	    {"{\"op\":\"policy\",\"set\":\"z\"}", "EINVAL", "unknown policy 'z'"},
	};
	struct daemon d = {0};
	daemon_start(&d, NULL);
	for (unsigned i = 0; i < REIN_ARRAY_LEN(cases); i++) {
		json_t *answer = raw_ask(d.dir, cases[i].request);
		ck_assert(json_is_false(json_object_get(answer, "ok")));
		ck_assert_str_eq(json_string_value(json_object_get(answer, "code")), cases[i].code);
		const char *error = json_string_value(json_object_get(answer, "error"));
		ck_assert_msg(strstr(error, cases[i].error) != NULL, "%s: %s", cases[i].request,
		              error);
		json_decref(answer);
	}
	ck_assert_int_eq(daemon_end(&d, SIGTERM, NULL, 0), 0);
}
TEST_END

/* Another user: may look, may not change, may not raise its priority. */
TEST(who_is_not_privileged_changes_nothing)
{
	if (geteuid() != 0)
		return;
	struct daemon d = {0};
	char path[256];
	daemon_start(&d, NULL);
	snprintf(path, sizeof(path), "%s/" REIN_CONTROL_SOCKET, d.dir);
	ck_assert_int_eq(chmod(path, 0666), 0); /* even then */
	ck_assert_int_eq(chmod(d.dir, 0755), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
			_exit(9);
		static const char *const changes[] = {"{\"op\":\"stop\"}", "{\"op\":\"reload\"}",
		                                      "{\"op\":\"policy\",\"set\":\"fifo\"}",
		                                      "{\"op\":\"set\",\"id\":1,\"prio\":1}"};
		for (unsigned i = 0; i < REIN_ARRAY_LEN(changes); i++) {
			json_t *answer = raw_ask(d.dir, changes[i]);
			const char *code = json_string_value(json_object_get(answer, "code"));
			if (!code || strcmp(code, "EPERM"))
				_exit(1);
			json_decref(answer);
		}
		json_decref(raw_ask(d.dir, "{\"op\":\"policy\"}"));
		struct raw r;
		raw_join(&r, d.dir, "x", 50);
		if (r.w.prio != 0 || !strstr(r.w.text, "priority 50 needs root"))
			_exit(2);
		struct rein_msg_hello h = raw_hello("x", 50);
		h.flags = REIN_HELLO_CHECK;
		if (raw_greet(&r, d.dir, &h, sizeof(h)) != sizeof(r.w) || r.w.prio != 0)
			_exit(3);
		h.timing = (struct rein_timing){.period_ns = 100000000, .budget_ns = 5000000};
		if (raw_greet(&r, d.dir, &h, sizeof(h)) != sizeof(r.w) ||
		    r.w.promise != REIN_PROMISE_REFUSED ||
		    !strstr(r.w.promise_text, "priority 50 needs root"))
			_exit(4);
		h.prio = REIN_PRIO_UNSET;
		if (raw_greet(&r, d.dir, &h, sizeof(h)) != sizeof(r.w) ||
		    r.w.promise != REIN_PROMISE_REFUSED ||
		    !strstr(r.w.promise_text, "a reservation needs root"))
			_exit(5);
		_exit(0);
	}
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(daemon_end(&d, SIGTERM, NULL, 0), 0);
}
TEST_END

TESTS("daemon", it_starts_listens_and_stops_cleanly, its_end_opens_all_gates,
      a_second_one_says_who_serves_and_changes_nothing, what_a_killed_one_left_is_replaced,
      in_the_background_it_returns_when_it_listens, it_can_end_when_nobody_is_there,
      it_tells_the_supervisor, usage_errors_are_one_line_and_status_2,
      a_bad_configuration_leaves_nothing_half_started, a_run_directory_that_will_not_do,
      no_permission_for_the_run_directory, a_reload_takes_all_or_nothing, changes_apply_live,
      what_clients_shows, bad_requests_have_clear_answers, who_is_not_privileged_changes_nothing)
