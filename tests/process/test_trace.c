// SPDX-License-Identifier: Apache-2.0
/*
 * test_trace.c: event records from real programs on the software GPU to a trace: they agree with
 * what the driver saw, name who held whom, and outlive the death of programs and daemons.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/process/raw_client.h"
#include "tests/rig.h"

#define RUN_MS 60000

static struct rig rig;

/* A daemon with or without `events = on`, again in the same run directory. */
static void events_daemon(bool events)
{
	char config[96], run_dir[96];
	char *argv[] = {
	    (char *)built("reind"), "--foreground", "--run-dir", run_dir, "--config", config, NULL};
	snprintf(run_dir, sizeof(run_dir), "%s", rig.dir);
	snprintf(config, sizeof(config), "%s/rein.conf", rig.dir);
	FILE *f = fopen(config, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "[daemon]\nevents = %s\n", events ? "on" : "off");
	fclose(f);
	rig.daemon = proc_start(argv, NULL);
	for (int i = 0; i < WAIT_MS / 10; i++) {
		json_t *status = rig_rein(&rig, "status");
		json_decref(status);
		if (status)
			return;
		usleep(10000);
	}
	ck_abort_msg("the daemon did not come up");
}

static void start(bool events)
{
	rig_init(&rig, "lc_step=1ms,be_step=2ms,add=300us,mul=300us");
	events_daemon(events);
}

/* `rein trace`: the trace, which the caller drops, and the summary's figures. */
static json_t *trace(const char *args, json_t **summary)
{
	char line[200], path[96];
	json_error_t why;
	snprintf(path, sizeof(path), "%s/trace.json", rig.dir);
	snprintf(line, sizeof(line), "trace %s -o %s", args, path);
	*summary = rig_rein(&rig, line);
	ck_assert_msg(*summary != NULL, "rein %s failed", line);
	json_t *root = json_load_file(path, 0, &why);
	ck_assert_msg(root != NULL, "%s, line %d", why.text, why.line);
	return root;
}

static const char *text_of(const json_t *e, const char *key)
{
	const char *s = json_string_value(json_object_get(e, key));
	return s ? s : "";
}

static const char *arg_of(const json_t *e, const char *key)
{
	return text_of(json_object_get(e, "args"), key);
}

/* Events of a process (0: any) with this category and a name that begins so. */
static unsigned count(const json_t *root, pid_t pid, const char *cat, const char *name)
{
	unsigned n = 0;
	size_t i;
	json_t *e;
	json_array_foreach(json_object_get(root, "traceEvents"), i, e)
	{
		n += (!pid || json_integer_value(json_object_get(e, "pid")) == pid) &&
		     strcmp(text_of(e, "cat"), cat) == 0 &&
		     strncmp(text_of(e, "name"), name, strlen(name)) == 0;
	}
	return n;
}

/* ---------------------------------------------------------------- what the driver saw */

static int by_begin(const void *x, const void *y)
{
	double a = json_number_value(json_object_get(*(json_t *const *)x, "ts"));
	double b = json_number_value(json_object_get(*(json_t *const *)y, "ts"));
	return a < b ? -1 : a > b;
}

/* The submissions of a one-threaded program in order, a letter each: Kernel, Copy, Set. */
static void letters_of_trace(const json_t *root, char *out, size_t len)
{
	static json_t *list[4096];
	size_t n = 0, i;
	json_t *e;
	json_array_foreach(json_object_get(root, "traceEvents"), i, e)
	{
		if (strcmp(text_of(e, "cat"), "submit") == 0 && n < 4096)
			list[n++] = e;
	}
	qsort(list, n, sizeof(list[0]), by_begin);
	ck_assert_uint_lt(n, len);
	for (i = 0; i < n; i++) {
		const char *entry = arg_of(list[i], "entry");
		out[i] = strstr(entry, "Launch") ? 'K' : strstr(entry, "Memset") ? 'S' : 'C';
	}
	out[n] = 0;
}

static void letters_of_log(char *log, char *out, size_t len)
{
	size_t n = 0;
	for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
		char kind[16];
		ck_assert_int_eq(sscanf(line, "%*d %*u %15s", kind), 1);
		if (strcmp(kind, "mark") == 0 || strcmp(kind, "overrun") == 0)
			continue;
		ck_assert_uint_lt(n + 1, len);
		out[n++] = strcmp(kind, "kernel") == 0 ? 'K' : strcmp(kind, "set") == 0 ? 'S' : 'C';
	}
	out[n] = 0;
}

TEST(records_agree_with_what_the_driver_saw)
{
	char path[96], want[512], got[512];
	static char out[1 << 16];
	json_t *summary;
	size_t len;
	setenv("SOFTGPU_DEVICES", "2", 1);
	start(true);
	snprintf(path, sizeof(path), "%s/order", rig.dir);
	setenv("SOFTGPU_ORDER_LOG", path, 1);
	struct proc p = rig_start(&rig, 0, "tests/clients/order_program", "sync_copy");
	ck_assert_int_eq(proc_wait(&p, out, sizeof(out), RUN_MS), 0);
	unsetenv("SOFTGPU_ORDER_LOG");
	json_t *root = trace("", &summary);
	char *log = rig_read(path, &len);
	ck_assert_ptr_nonnull(log);
	letters_of_log(log, want, sizeof(want));
	letters_of_trace(root, got, sizeof(got));
	ck_assert_str_eq(got, want);
	ck_assert_uint_eq(strlen(got), 41);
	ck_assert_uint_ge(count(root, 0, "active", "active"), 1);
	ck_assert_uint_eq(count(root, 0, "recorder", "its process ended"), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(summary, "lost")), 0);
	json_decref(summary);
	json_decref(root);
	free(log);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- who held whom */

static bool names_the_holder(void *unused)
{
	json_t *summary, *root = trace("--last 60s", &summary), *e;
	bool found = false;
	size_t i;
	json_array_foreach(json_object_get(root, "traceEvents"), i, e)
	{
		found |= strcmp(text_of(e, "name"), "gate closed") == 0 &&
		         strcmp(arg_of(e, "holder"), "lc") == 0;
	}
	json_decref(summary);
	json_decref(root);
	return found;
}

TEST(a_wait_at_the_gate_names_its_holder)
{
	start(true);
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	rig_expect_progress(&rig, be.pid, "submissions", 0, WAIT_MS);
	struct proc lc = rig_start(&rig, 50, "workloads/lc",
	                           "--seconds 300 --kernels 2 --period 20 --arrivals periodic");
	ck_assert(eventually(names_the_holder, NULL, WAIT_MS));
	proc_kill(&lc, SIGKILL);
	proc_wait(&lc, NULL, 0, WAIT_MS);
	proc_kill(&be, SIGKILL);
	proc_wait(&be, NULL, 0, WAIT_MS);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- deaths */

TEST(a_recording_outlives_killed_programs_and_daemons)
{
	json_t *summary;
	start(true);
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	struct proc victim = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	rig_expect_progress(&rig, be.pid, "submissions", 10, WAIT_MS);
	rig_expect_progress(&rig, victim.pid, "submissions", 10, WAIT_MS);
	pid_t dead = victim.pid;
	proc_kill(&victim, SIGKILL);
	proc_wait(&victim, NULL, 0, WAIT_MS);
	rig_expect_state(&rig, dead, NULL, WAIT_MS);
	json_t *root = trace("", &summary);
	ck_assert_uint_gt(count(root, dead, "submit", ""), 5);
	ck_assert_uint_eq(count(root, dead, "recorder", "its process ended"), 1);
	ck_assert_uint_eq(count(root, be.pid, "recorder", "its process ended"), 0);
	ck_assert_uint_eq(count(root, 0, "recorder", "the recording was cut here"), 0);
	json_decref(summary);
	json_decref(root);
	/* the daemon too; nobody runs to be asked */
	proc_kill(&rig.daemon, SIGKILL);
	proc_wait(&rig.daemon, NULL, 0, WAIT_MS);
	root = trace("", &summary);
	unsigned before = count(root, be.pid, "submit", "");
	ck_assert_uint_gt(before, 5);
	ck_assert_uint_eq(count(root, 0, "recorder", "the recording was cut here"), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(summary, "cuts")), 1);
	json_decref(summary);
	json_decref(root);
	/* the next one goes on, with the same program, and what there was is still there */
	events_daemon(true);
	rig_expect_progress(&rig, be.pid, "submissions", 10, WAIT_MS);
	root = trace("", &summary);
	ck_assert_uint_gt(count(root, be.pid, "submit", ""), before);
	ck_assert_uint_eq(count(root, 0, "recorder", "the recording was cut here"), 1);
	json_decref(summary);
	json_decref(root);
	proc_kill(&be, SIGKILL);
	proc_wait(&be, NULL, 0, WAIT_MS);
	rig_fini(&rig);
}
TEST_END

static struct {
	pid_t pid;
	unsigned above, cuts;
} wanted;

/* As many cuts as there should be, and more of that program than before. */
static bool goes_on(void *unused)
{
	json_t *summary, *root = trace("", &summary);
	unsigned cuts = count(root, 0, "recorder", "the recording was cut here");
	bool more = count(root, wanted.pid, "submit", "") > wanted.above;
	json_decref(summary);
	json_decref(root);
	return more && cuts == wanted.cuts;
}

/* The worker alone: its supervisor has another one, the programs go on, and so does the recording.
 */
TEST(a_recording_outlives_killed_workers)
{
	json_t *summary;
	start(true);
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	rig_expect_progress(&rig, be.pid, "submissions", 10, WAIT_MS);
	for (unsigned i = 1; i <= 2; i++) {
		json_t *root = trace("", &summary); /* what it did until now is in the files */
		wanted.above = count(root, be.pid, "submit", "");
		wanted.pid = be.pid;
		wanted.cuts = i;
		json_decref(summary);
		json_decref(root);
		ck_assert_uint_gt(wanted.above, 5);
		ck_assert_int_eq(kill(proc_child(rig.daemon.pid), SIGKILL), 0);
		rig_expect_state(&rig, be.pid, "", WAIT_MS);
		ck_assert(eventually(goes_on, NULL, WAIT_MS));
	}
	proc_kill(&be, SIGKILL);
	proc_wait(&be, NULL, 0, WAIT_MS);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- on, off, and in the way */

static bool exists(const char *file)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", rig.dir, file);
	return access(path, F_OK) == 0;
}

TEST(off_until_it_is_asked_for)
{
	char out[1024], path[96];
	char *argv[] = {(char *)built("rein"), "trace", "--last", "1s", "-o", path, NULL};
	json_t *summary;
	start(false);
	snprintf(path, sizeof(path), "%s/none.json", rig.dir);
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	rig_expect_progress(&rig, be.pid, "submissions", 10, WAIT_MS);
	ck_assert(!exists("events"));
	char *env[] = {rig.env[0], NULL};
	ck_assert_int_eq(proc_run(argv, env, out, sizeof(out), WAIT_MS), 125);
	ck_assert_msg(strstr(out, "nothing was recorded") && strstr(out, "--duration"), "%s", out);
	json_t *root = trace("--duration 1s", &summary);
	ck_assert_uint_gt(count(root, be.pid, "submit", ""), 5);
	json_decref(summary);
	json_decref(root);
	/* and by itself off again: the segment is closed */
	for (int i = 0; i < WAIT_MS / 100; i++) {
		root = trace("", &summary);
		bool closed = json_integer_value(json_object_get(summary, "cuts")) == 0;
		json_decref(summary);
		json_decref(root);
		if (closed)
			break;
		usleep(100000);
	}
	proc_kill(&be, SIGKILL);
	proc_wait(&be, NULL, 0, WAIT_MS);
	rig_fini(&rig);
}
TEST_END

TEST(without_a_place_to_write_scheduling_goes_on)
{
	char path[96], out[4096];
	rig_init(&rig, "be_step=2ms");
	snprintf(path, sizeof(path), "%s/events", rig.dir);
	close(open(path, O_CREAT | O_WRONLY, 0600)); /* a file where the folder should be */
	events_daemon(true);
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	rig_expect_progress(&rig, be.pid, "submissions", 20, WAIT_MS);
	proc_kill(&be, SIGKILL);
	proc_wait(&be, NULL, 0, WAIT_MS);
	proc_kill(&rig.daemon, SIGTERM);
	ck_assert_int_eq(proc_wait(&rig.daemon, out, sizeof(out), WAIT_MS), 0);
	const char *said = strstr(out, "events are not recorded: cannot make a file in");
	ck_assert_msg(said && !strstr(said + 1, "events are not recorded"), "%s", out);
	rig.daemon.pid = 0;
	rig_fini(&rig);
}
TEST_END

static unsigned lines_with(const char *text, const char *what)
{
	unsigned n = 0;
	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

static bool is_failing(void *is)
{
	json_t *answer = raw_ask(rig.dir, "{\"op\":\"trace\"}");
	bool failing = json_is_true(json_object_get(answer, "failing"));
	json_decref(answer);
	return failing == *(bool *)is;
}

/* A small file system of our own there; false: not permitted. */
static bool mount_small(const char *path)
{
	return mkdir(path, 0700) == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("small", path, "tmpfs", 0, "size=64k") == 0;
}

TEST(on_a_full_disk_scheduling_goes_on_and_recording_when_there_is_room)
{
	static char out[1 << 16];
	char path[96], file[96];
	char *argv[] = {(char *)built("rein"), "trace", "-o", file, NULL};
	char *env[] = {rig.env[0], NULL};
	bool yes = true, no = false;
	rig_init(&rig, "be_step=2ms");
	snprintf(path, sizeof(path), "%s/events", rig.dir);
	if (!mount_small(path)) {
		printf("skipped: no file system can be mounted here: %s\n", strerror(errno));
		return;
	}
	events_daemon(true);
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	ck_assert(eventually(is_failing, &yes, WAIT_MS));
	int64_t before = rig_counter(&rig, be.pid, "submissions");
	rig_expect_progress(&rig, be.pid, "submissions", before + 50, WAIT_MS);
	/* what fitted can be read, and whoever asks is told */
	snprintf(file, sizeof(file), "%s/trace.json", rig.dir);
	ck_assert_int_eq(proc_run(argv, env, out, sizeof(out), WAIT_MS), 0);
	ck_assert_msg(strstr(out, "cannot write its recording now; its log says why"), "%s", out);
	json_t *root = json_load_file(file, 0, NULL);
	ck_assert_uint_gt(count(root, be.pid, "submit", ""), 5);
	json_decref(root);
	ck_assert_int_eq(mount(NULL, path, NULL, MS_REMOUNT, "size=32m"), 0);
	ck_assert(eventually(is_failing, &no, WAIT_MS));
	rig_expect_progress(&rig, be.pid, "submissions", before + 100, WAIT_MS);
	proc_kill(&be, SIGKILL);
	proc_wait(&be, NULL, 0, WAIT_MS);
	proc_kill(&rig.daemon, SIGTERM);
	ck_assert_int_eq(proc_wait(&rig.daemon, out, sizeof(out), WAIT_MS), 0);
	rig.daemon.pid = 0;
	ck_assert_msg(lines_with(out, "events are not recorded: cannot write to") == 1 &&
	                  lines_with(out, "No space left on device") == 1 &&
	                  lines_with(out, "events are recorded again") == 1,
	              "%s", out);
	ck_assert_int_eq(umount2(path, MNT_DETACH), 0);
	rig_fini(&rig);
}
TEST_END

/* ---------------------------------------------------------------- the fifth descriptor */

static unsigned descriptors_for(uint16_t minor, size_t hello_size, int fd[REIN_SOCK_FDS])
{
	struct rein_msg_hello h = raw_hello("raw", REIN_PRIO_UNSET);
	char welcome[1024];
	unsigned n = REIN_SOCK_FDS;
	h.header.abi_minor = minor;
	h.header.size = (uint32_t)hello_size;
	int sock = raw_connect(rig.dir);
	ck_assert_int_eq(rein_sock_send(sock, &h, hello_size, NULL, 0), 0);
	ck_assert_int_gt(rein_sock_recv(sock, welcome, sizeof(welcome), fd, &n, WAIT_MS), 0);
	close(sock);
	return n;
}

TEST(only_who_knows_of_rings_gets_them)
{
	int fd[REIN_SOCK_FDS];
	start(true);
	ck_assert_uint_eq(descriptors_for(1, REIN_HELLO_SIZE_1, fd), REIN_FD_N);
	ck_assert_uint_eq(descriptors_for(REIN_ABI_MINOR, sizeof(struct rein_msg_hello), fd),
	                  REIN_FD_MAX);
	ck_assert_int_lt(ftruncate(fd[REIN_FD_RINGS], 0), 0);
	ck_assert_int_lt(fcntl(fd[REIN_FD_RINGS], F_ADD_SEALS, F_SEAL_WRITE), 0);
	rig_fini(&rig);
}
TEST_END

TESTS("traces", records_agree_with_what_the_driver_saw, a_wait_at_the_gate_names_its_holder,
      a_recording_outlives_killed_programs_and_daemons, a_recording_outlives_killed_workers,
      off_until_it_is_asked_for, without_a_place_to_write_scheduling_goes_on,
      on_a_full_disk_scheduling_goes_on_and_recording_when_there_is_room,
      only_who_knows_of_rings_gets_them)
