// SPDX-License-Identifier: Apache-2.0
/*
 * test_calibrate.c: `rein calibrate` on the software GPU: a daemon that is given what it wrote uses
 * the gates; it refuses while others use the GPU; however it ends early, nothing is written and
 * nothing left running.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/rig.h"

#define WAIT_MS 120000

static struct rig rig;
static char path[128], out[262144];

static void begin(void)
{
	/* as real GPUs have it: a program all of whose streams wait gives up its time slice */
	setenv("SOFTGPU_WAIT_KEEPS_SLICE", "0", 1);
	setenv("SOFTGPU_RM", "1", 1);
	rig_init(&rig, NULL);
	snprintf(path, sizeof(path), "%s/profile", rig.dir);
}

static struct proc start(const char *more)
{
	char line[256];
	snprintf(line, sizeof(line), "calibrate --json --out %s %s", path, more);
	return rig_start(&rig, -1, "rein", line);
}

static int calibrate(const char *more)
{
	struct proc p = start(more);
	return proc_wait(&p, out, sizeof(out), WAIT_MS);
}

/* What is in the run directory and begins as the profile does. */
static unsigned files(void)
{
	DIR *d = opendir(rig.dir);
	unsigned n = 0;
	for (const struct dirent *e; d && (e = readdir(d));)
		n += strncmp(e->d_name, "profile", 7) == 0;
	if (d)
		closedir(d);
	return n;
}

static bool offers(const json_t *status, const char *gate)
{
	size_t i;
	json_t *v;
	json_array_foreach(json_object_get(status, "gates"), i, v)
	{
		if (strcmp(json_string_value(v), gate) == 0)
			return true;
	}
	return false;
}

static bool is_gated(void *arg)
{
	json_t *ps = rig_rein(&rig, "ps"), *c;
	bool yes = false;
	size_t i;
	json_array_foreach(json_object_get(ps, "clients"), i, c)
	{
		const char *gate = json_string_value(json_object_get(c, "gate"));
		yes |= json_integer_value(json_object_get(c, "pid")) == *(pid_t *)arg &&
		       (strcmp(gate, "queue") == 0 || strcmp(gate, "context") == 0);
	}
	json_decref(ps);
	return yes;
}

TEST(a_daemon_uses_what_it_wrote)
{
	begin();
	ck_assert_msg(calibrate("") == 0, "%.1000s", out);
	json_t *said = json_loads(out, 0, NULL);
	json_t *done = json_array_get(json_object_get(said, "profiles"), 0);
	ck_assert_msg(done != NULL, "%.1000s", out);
	json_t *queue = json_object_get(json_object_get(done, "profile"), "queue");
	ck_assert(json_is_true(json_object_get(queue, "works")));
	ck_assert_int_gt((int)json_integer_value(json_object_get(queue, "point_ns")), 0);
	ck_assert(json_is_false(json_object_get(said, "reind_looks_there")));
	json_decref(said);
	ck_assert_uint_eq(files(), 1);

	setenv("REIN_PROFILE", path, 1);
	rig_daemon(&rig);
	json_t *status = rig_rein(&rig, "status");
	ck_assert(offers(status, "launch") && offers(status, "queue") && offers(status, "context"));
	ck_assert(json_is_true(json_object_get(status, "calibrated")));
	json_decref(status);
	struct proc be = rig_start(&rig, 0, "workloads/be", "--seconds 0 --work 1");
	struct proc lc = rig_start(&rig, 50, "workloads/lc", "--seconds 600 --period 20 --work 1");
	ck_assert(eventually(is_gated, &be.pid, 20000));
	proc_kill(&lc, SIGKILL);
	proc_kill(&be, SIGKILL);
	proc_wait(&lc, NULL, 0, WAIT_MS);
	proc_wait(&be, NULL, 0, WAIT_MS);
	rig_fini(&rig);
}
TEST_END

TEST(not_without_a_profile)
{
	begin();
	unsetenv("REIN_PROFILE");
	rig_daemon(&rig);
	char *const argv[] = {(char *)built("rein"), "status", NULL};
	char *const env[] = {rig.env[0], NULL};
	ck_assert_int_eq(proc_run(argv, env, out, sizeof(out), WAIT_MS), 0);
	ck_assert_msg(strstr(out, "gates      launch") && strstr(out, "run rein calibrate"), "%s",
	              out);
	rig_fini(&rig);
}
TEST_END

TEST(refused_while_others_use_the_gpu)
{
	char who[64];
	begin();
	struct proc be = rig_start(&rig, -1, "workloads/be", "--seconds 0 --work 1");
	snprintf(who, sizeof(who), "be (PID %d)", (int)be.pid);
	usleep(300000);
	ck_assert_int_eq(calibrate(""), 125);
	ck_assert_msg(strstr(out, "in use by 1 other") && strstr(out, who), "%.1000s", out);
	ck_assert_uint_eq(files(), 0);
	proc_kill(&be, SIGKILL);
	proc_wait(&be, NULL, 0, WAIT_MS);
	rig_fini(&rig);
}
TEST_END

/* Asked about another GPU or in another place. */
TEST(one_line_for_what_cannot_be)
{
	begin();
	ck_assert_int_eq(calibrate("--out /proc/none/profile"), 125);
	ck_assert_msg(strstr(out, "cannot write /proc/none/profile"), "%.1000s", out);
	ck_assert_int_eq(calibrate("--device GPU-0"), 125);
	ck_assert_msg(strstr(out, "there is no GPU GPU-0"), "%.1000s", out);
	ck_assert_int_eq(calibrate("now"), 2);
	ck_assert_int_eq(calibrate("--dry-run"), 0);
	ck_assert_uint_eq(files(), 0);
	rig.env[2][0] = 0; /* LD_LIBRARY_PATH */
	if (!dlopen("libcuda.so.1", RTLD_LAZY)) {
		ck_assert_int_eq(calibrate(""), 125);
		ck_assert_msg(strstr(out, "no libcuda.so.1"), "%.1000s", out);
	}
	rig_fini(&rig);
}
TEST_END

/* Its child's name once it runs a probe. */
static bool asks(void *arg)
{
	char file[64], comm[64] = "";
	struct proc *p = arg;
	snprintf(file, sizeof(file), "/proc/%d/task/%d/children", (int)p->pid, (int)p->pid);
	FILE *f = fopen(file, "r");
	int child = 0;
	if (f && fscanf(f, "%d", &child) == 1)
		snprintf(file, sizeof(file), "/proc/%d/comm", child);
	if (f)
		fclose(f);
	f = child ? fopen(file, "r") : NULL;
	if (f && !fgets(comm, sizeof(comm), f))
		comm[0] = 0;
	if (f)
		fclose(f);
	return strncmp(comm, "queue_gate", 10) == 0;
}

TEST(interrupted)
{
	begin();
	struct proc p = start("");
	ck_assert(eventually(asks, &p, WAIT_MS));
	pid_t child = proc_child(p.pid);
	proc_kill(&p, SIGINT);
	ck_assert_int_eq(proc_wait(&p, out, sizeof(out), WAIT_MS), 125);
	ck_assert_msg(strstr(out, "interrupted; nothing was written"), "%.1000s", out);
	ck_assert_int_eq(kill(-child, 0), -1);
	ck_assert_uint_eq(files(), 0);
	rig_fini(&rig);
}
TEST_END

TEST(one_at_a_time)
{
	char second[160];
	begin();
	struct proc p = start("");
	ck_assert(eventually(asks, &p, WAIT_MS));
	/* between two questions too: forced, it sees nobody else and says who is there */
	snprintf(second, sizeof(second), "%s-2", path);
	char line[224];
	snprintf(line, sizeof(line), "calibrate --force --json --out %s", second);
	struct proc q = rig_start(&rig, -1, "rein", line);
	usleep(1500000);
	proc_kill(&q, SIGINT);
	proc_wait(&q, out, sizeof(out), WAIT_MS);
	ck_assert_msg(strstr(out, "another rein calibrate asks this GPU"), "%.1000s", out);
	proc_kill(&p, SIGINT);
	proc_wait(&p, out, sizeof(out), WAIT_MS);
	rig_fini(&rig);
}
TEST_END

TESTS("calibrate", one_at_a_time, a_daemon_uses_what_it_wrote, not_without_a_profile,
      refused_while_others_use_the_gpu, one_line_for_what_cannot_be, interrupted)
