// SPDX-License-Identifier: Apache-2.0
/*
 * test_export.c: traces of real programs on the software GPU: what `rein trace` writes holds
 * together as Perfetto wants it, shows whom it was asked for, and fails in one line where it cannot
 * be written.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/recording.h"
#include "tests/rig.h"

static struct rig rig;

/* A daemon that records; `be` held now and then by `lc`, both of which have ended. */
static void record(pid_t *lc_pid, pid_t *be_pid)
{
	char config[96];
	char *more[] = {(char *)"--config", config, NULL};
	rig_init(&rig, "lc_step=1ms,be_step=2ms");
	snprintf(config, sizeof(config), "%s/rein.conf", rig.dir);
	FILE *f = fopen(config, "w");
	ck_assert_ptr_nonnull(f);
	fputs("[daemon]\nevents = on\n[class serving]\npriority = 50\n", f);
	fclose(f);
	rig_daemon_with(&rig, more);
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	*be_pid = be.pid;
	rig_expect_progress(&rig, be.pid, "submissions", 0, 20000);
	struct proc lc = rig_start(&rig, 50, "workloads/lc",
	                           "--seconds 0.7 --kernels 2 --period 20 --arrivals periodic");
	*lc_pid = lc.pid;
	ck_assert_int_eq(proc_wait(&lc, NULL, 0, 60000), 0);
	proc_kill(&be, SIGKILL);
	proc_wait(&be, NULL, 0, 20000);
	rig_expect_state(&rig, *be_pid, NULL, 20000);
}

static const char *in_dir(const char *file)
{
	static char path[4][128];
	static unsigned n;
	char *p = path[n++ % 4];
	snprintf(p, sizeof(path[0]), "%s/%s", rig.dir, file);
	return p;
}

/* `rein trace`, whatever it says; its exit status. */
static int trace(const char *options, const char *file, char *out, size_t len)
{
	char words[200], *argv[16] = {(char *)built("rein"), (char *)"trace", (char *)"-o"};
	int n = 3;
	argv[n++] = (char *)file;
	snprintf(words, sizeof(words), "%s", options);
	for (char *w = strtok(words, " "); w; w = strtok(NULL, " "))
		argv[n++] = w;
	argv[n] = NULL;
	char *env[] = {rig.env[0], NULL};
	return proc_run(argv, env, out, len, 60000);
}

/* A Perfetto trace, decoded and checked (tests/unit/perfetto_check.py). */
static json_t *decoded(const char *options)
{
	static char out[1 << 24];
	const char *file = in_dir("trace.pftrace");
	char said[1024];
	json_error_t why;
	ck_assert_msg(trace(options, file, said, sizeof(said)) == 0, "%s", said);
	char *argv[] = {(char *)"python3", (char *)"tests/unit/perfetto_check.py", (char *)file,
	                NULL};
	int status = proc_run(argv, NULL, out, sizeof(out), 120000);
	ck_assert_msg(status == 0, "%.2000s", out);
	json_t *root = json_loads(out, 0, &why);
	ck_assert_msg(root != NULL, "%s", why.text);
	return root;
}

static const char *text_of(const json_t *e, const char *key)
{
	const char *s = json_string_value(json_object_get(e, key));
	return s ? s : "";
}

/* Slices whose track begins so, of this name ("": any). */
static unsigned count(const json_t *root, const char *track, const char *name)
{
	unsigned n = 0;
	size_t i;
	json_t *e;
	json_array_foreach(json_object_get(root, "slices"), i, e)
	{
		n += strncmp(text_of(e, "track"), track, strlen(track)) == 0 &&
		     (!*name || strcmp(text_of(e, "name"), name) == 0);
	}
	return n;
}

static const char *process(const char *name, pid_t pid)
{
	static char text[2][64];
	static unsigned n;
	char *t = text[n++ % 2];
	snprintf(t, sizeof(text[0]), "%s %d/", name, pid);
	return t;
}

TEST(a_trace_holds_together)
{
	pid_t lc, be;
	record(&lc, &be);
	json_t *root = decoded("");
	ck_assert_uint_ge(count(root, process("lc", lc), "active"), 20);
	ck_assert_uint_ge(count(root, process("lc", lc), "cuLaunchKernel"), 40);
	ck_assert_uint_ge(count(root, process("be", be), "gate closed"), 5);
	ck_assert_uint_ge(count(root, "gate/waiting for lc", "be"), 5);
	/* launches lead to what waited for them, lc to whom it made wait */
	ck_assert_uint_ge(json_array_size(json_object_get(root, "flows")), 25);
	char unfinished[96];
	snprintf(unfinished, sizeof(unfinished), "%sunfinished submissions", process("lc", lc));
	ck_assert_ptr_nonnull(json_object_get(json_object_get(root, "counters"), unfinished));
	json_decref(root);
	rig_fini(&rig);
}
TEST_END

TEST(one_process_is_shown_and_whom_it_waited_for)
{
	char options[32], out[1024];
	pid_t lc, be;
	record(&lc, &be);
	snprintf(options, sizeof(options), "--pid %d", be);
	json_t *root = decoded(options);
	ck_assert_uint_ge(count(root, process("be", be), "cuLaunchKernel"), 5);
	ck_assert_uint_eq(count(root, process("lc", lc), "cuLaunchKernel"), 0);
	ck_assert_uint_ge(count(root, "gate/waiting for lc", "be"), 5);
	json_decref(root);
	ck_assert_int_eq(trace("--class serving", in_dir("trace.json"), out, sizeof(out)), 125);
	ck_assert_msg(strstr(out, "no program of class 'serving' was recorded"), "%s", out);
	snprintf(options, sizeof(options), "--pid %d", getpid());
	ck_assert_int_eq(trace(options, in_dir("none.json"), out, sizeof(out)), 125);
	ck_assert_msg(strstr(out, "no process with the PID"), "%s", out);
	ck_assert_int_ne(access(in_dir("none.json"), F_OK), 0);
	rig_fini(&rig);
}
TEST_END

/* Whether the rows of `rein trace --class C --csv` have calls of that process. */
static bool class_shows(const char *class, pid_t pid)
{
	char out[1024], options[64], call[32];
	size_t len;
	snprintf(options, sizeof(options), "--class %s --csv", class);
	int status = trace(options, in_dir("trace"), out, sizeof(out));
	if (status == 125 && strstr(out, "was recorded"))
		return false;
	ck_assert_msg(status == 0, "%s", out);
	char *rows = rig_read(in_dir("trace"), &len);
	ck_assert_ptr_nonnull(rows);
	snprintf(call, sizeof(call), ",%d,\"be\",%d,", pid, pid);
	bool shows = strstr(rows, call) != NULL;
	free(rows);
	return shows;
}

static bool is_gone(void *pid)
{
	return kill(*(pid_t *)pid, 0) < 0;
}

TEST(a_class_is_shown)
{
	pid_t lc, be, served;
	record(&lc, &be);
	setenv("REIN_CLASS", "serving", 1);
	struct proc p = rig_start(&rig, -1, "workloads/be", "--seconds 0.1");
	proc_wait(&p, NULL, 0, 20000); /* without the shim: leaves nothing */
	p = rig_start(&rig, 50, "workloads/be", "--seconds 300");
	unsetenv("REIN_CLASS");
	served = p.pid;
	rig_expect_progress(&rig, p.pid, "submissions", 5, 20000);
	ck_assert(class_shows("serving", served));
	ck_assert(!class_shows("serving", be));
	ck_assert(class_shows("default", be)); /* which has ended */
	ck_assert(!class_shows("default", served));
	/* it gets another class, and ends; so does the daemon */
	char set[64];
	snprintf(set, sizeof(set), "set %d --class default", served);
	json_decref(rig_rein(&rig, set));
	ck_assert(!class_shows("serving", served));
	ck_assert(class_shows("default", served));
	proc_kill(&p, SIGKILL);
	proc_wait(&p, NULL, 0, 20000);
	rig_expect_state(&rig, served, NULL, 20000);
	pid_t worker = proc_child(rig.daemon.pid);
	proc_kill(&rig.daemon, SIGKILL);
	proc_wait(&rig.daemon, NULL, 0, 20000);
	rig.daemon.pid = 0;
	ck_assert(eventually(is_gone, &worker, 20000)); /* a moment later */
	ck_assert(class_shows("default", served));
	rig_fini(&rig);
}
TEST_END

/* What a rein wrote that recorded no classes: the cells are of a kind that nobody knows. */
static void make_old(void)
{
	struct rein_segment_header h;
	struct rein_trace_record cell;
	char path[128];
	snprintf(path, sizeof(path), "%s/events/00000001.rec", rig.dir);
	FILE *f = fopen(path, "r+");
	ck_assert(f && fread(&h, sizeof(h), 1, f) == 1);
	ck_assert_uint_ge(h.minor, 2);
	h.minor = 1;
	rewind(f);
	ck_assert_uint_eq(fwrite(&h, sizeof(h), 1, f), 1);
	unsigned n = 0;
	for (long at = sizeof(h);
	     fseek(f, at, SEEK_SET) == 0 && fread(&cell, sizeof(cell), 1, f) == 1;
	     at += (long)sizeof(cell)) {
		if (cell.kind != REIN_TRACE_CLASS)
			continue;
		cell.kind = 250;
		ck_assert_int_eq(fseek(f, at, SEEK_SET), 0);
		ck_assert_uint_eq(fwrite(&cell, sizeof(cell), 1, f), 1);
		n++;
	}
	fclose(f);
	ck_assert_uint_ge(n, 2);
}

TEST(a_recording_without_classes)
{
	char out[1024];
	pid_t lc, be;
	record(&lc, &be);
	struct proc p = rig_start(&rig, 0, "workloads/be", "--seconds 300");
	rig_expect_progress(&rig, p.pid, "submissions", 5, 20000);
	json_decref(decoded(""));
	make_old();
	ck_assert_int_eq(trace("--csv", in_dir("trace"), out, sizeof(out)), 0);
	ck_assert(class_shows("default", p.pid)); /* by the daemon's word: it runs */
	ck_assert(!class_shows("default", be));
	ck_assert(!class_shows("serving", p.pid));
	proc_kill(&p, SIGKILL);
	proc_wait(&p, NULL, 0, 20000);
	rig_fini(&rig);
}
TEST_END

static void expect_line(const char *out, const char *what)
{
	ck_assert_msg(strstr(out, what) && strchr(out, '\n') == strrchr(out, '\n'),
	              "not one line with '%s': %s", what, out);
}

TEST(what_cannot_be_written_is_one_line)
{
	char out[1024];
	pid_t lc, be;
	record(&lc, &be);
	ck_assert_int_eq(trace("", "/dev/full", out, sizeof(out)), 125);
	expect_line(out, "cannot write the trace to /dev/full; No space left on device");
	ck_assert_int_eq(trace("", in_dir("no/such/folder"), out, sizeof(out)), 125);
	expect_line(out, "No such file or directory");
	ck_assert_int_eq(trace("--pid 5 --class x", in_dir("trace"), out, sizeof(out)), 2);
	ck_assert_int_eq(trace("--cupti", in_dir("trace"), out, sizeof(out)), 2);
	ck_assert_int_eq(trace("--pid 0", in_dir("trace"), out, sizeof(out)), 2);
	rig_fini(&rig);
}
TEST_END

/* Asked for, and not to be had. */
TEST(what_is_not_watched_is_said)
{
	char config[96], out[1024];
	char *more[] = {(char *)"--config", config, NULL};
	rig_init(&rig, "");
	snprintf(config, sizeof(config), "%s/rein.conf", rig.dir);
	FILE *f = fopen(config, "w");
	ck_assert_ptr_nonnull(f);
	fputs("[daemon]\nbpf = off\n", f);
	fclose(f);
	rig_daemon_with(&rig, more);
	ck_assert_int_eq(trace("--uprobes --duration 50ms", in_dir("trace"), out, sizeof(out)), 0);
	ck_assert_msg(strstr(out, "rein: processes without the shim are not watched; ") &&
	                  strstr(out, "bpf = off in [daemon] of rein.conf\n"),
	              "%s", out);
	rig_fini(&rig);
}
TEST_END

TESTS("exports", a_trace_holds_together, one_process_is_shown_and_whom_it_waited_for,
      a_class_is_shown, a_recording_without_classes, what_cannot_be_written_is_one_line,
      what_is_not_watched_is_said)
