// SPDX-License-Identifier: Apache-2.0
#include "tests/rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGS_MAX 24

void rig_init(struct rig *r, const char *times)
{
	memset(r, 0, sizeof(*r));
	snprintf(r->dir, sizeof(r->dir), "%s", temp_dir());
	const char *id = strrchr(r->dir, '/') + 1;
	snprintf(r->env[0], sizeof(r->env[0]), "REIN_RUN_DIR=%s", r->dir);
	snprintf(r->env[1], sizeof(r->env[1]), "SOFTGPU_SHM=test-%s", id);
	snprintf(r->env[2], sizeof(r->env[2]), "LD_LIBRARY_PATH=%s", built("softgpu"));
	if (times)
		snprintf(r->env[3], sizeof(r->env[3]), "SOFTGPU_TIMES=%s", times);
}

/* Splits at spaces, in place. */
static void split(char *line, char **argv, int at)
{
	for (char *word = strtok(line, " "); word && at < ARGS_MAX - 1; word = strtok(NULL, " "))
		argv[at++] = word;
	argv[at] = NULL;
}

static int common_env(struct rig *r, char **env)
{
	int n = 0;
	for (int i = 0; i < 4; i++)
		if (r->env[i][0])
			env[n++] = r->env[i];
	return n;
}

static bool listens(void *arg)
{
	struct rig *r = arg;
	json_t *status = rig_rein(r, "status");
	json_decref(status);
	return status != NULL;
}

void rig_daemon_with(struct rig *r, char *const more[])
{
	char *env[ENV_MAX] = {0};
	char *argv[ARGS_MAX] = {(char *)built("reind"), "--foreground", "--run-dir", r->dir};
	for (int i = 0; more && more[i] && i + 5 < ARGS_MAX; i++)
		argv[4 + i] = more[i];
	common_env(r, env);
	r->daemon = proc_start(argv, env);
	ck_assert_msg(eventually(listens, r, 10000), "the daemon did not come up");
}

void rig_daemon(struct rig *r)
{
	rig_daemon_with(r, NULL);
}

void rig_fini(struct rig *r)
{
	if (r->daemon.pid) {
		proc_kill(&r->daemon, SIGTERM);
		static char said[65536];
		int rc = proc_wait(&r->daemon, said, sizeof(said), 10000);
		ck_assert_msg(rc == 0, "exit %d: %s", rc, said);
	}
	/* what a killed last user of the software GPU leaves behind */
	char shm[600];
	snprintf(shm, sizeof(shm), "/dev/shm/softgpu-%u-%s", (unsigned)getuid(),
	         strchr(r->env[1], '=') + 1);
	unlink(shm);
}

struct proc rig_start(struct rig *r, int prio, const char *program, const char *args)
{
	char *env[ENV_MAX] = {0};
	char *argv[ARGS_MAX] = {(char *)built(program)};
	char line[512], preload[600], prio_env[32];
	int n = common_env(r, env);
	snprintf(line, sizeof(line), "%s", args);
	split(line, argv, 1);
	if (prio >= 0) {
		snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", built("librein.so"));
		snprintf(prio_env, sizeof(prio_env), "REIN_PRIO=%d", prio);
		env[n++] = preload;
		env[n++] = prio_env;
	}
	env[n++] = ENV_NO_LEAK_CHECK;
	env[n] = NULL;
	return proc_start(argv, env);
}

json_t *rig_rein(struct rig *r, const char *args)
{
	char *env[ENV_MAX] = {0};
	char *argv[ARGS_MAX] = {(char *)built("rein")};
	char line[256];
	static char out[256 * 1024];
	snprintf(line, sizeof(line), "%s --json", args);
	split(line, argv, 1);
	common_env(r, env);
	if (proc_run(argv, env, out, sizeof(out), 10000) != 0)
		return NULL;
	return json_loads(out, 0, NULL);
}

/* A new reference to the client's object, or NULL. */
static json_t *client(struct rig *r, pid_t pid)
{
	json_t *ps = rig_rein(r, "ps");
	json_t *found = NULL, *c;
	size_t i;
	json_array_foreach(json_object_get(ps, "clients"), i, c)
	{
		if (json_integer_value(json_object_get(c, "pid")) == pid)
			found = json_incref(c);
	}
	json_decref(ps);
	return found;
}

struct wanted {
	struct rig *rig;
	pid_t pid;
	const char *state;
	const char *field;
	int64_t above;
	char last[64];
};

static bool in_state(void *arg)
{
	struct wanted *w = arg;
	json_t *c = client(w->rig, w->pid);
	const char *state = json_string_value(json_object_get(c, "state"));
	snprintf(w->last, sizeof(w->last), "%s", state ? state : "no client");
	bool ok = w->state ? c && (!*w->state || (state && strcmp(state, w->state) == 0)) : !c;
	json_decref(c);
	return ok;
}

void rig_expect_state(struct rig *r, pid_t pid, const char *state, int timeout_ms)
{
	struct wanted w = {.rig = r, .pid = pid, .state = state};
	ck_assert_msg(eventually(in_state, &w, timeout_ms), "pid %d is '%s', not '%s'", (int)pid,
	              w.last, state ? state : "no client");
}

int64_t rig_counter(struct rig *r, pid_t pid, const char *field)
{
	json_t *c = client(r, pid);
	json_t *v = json_object_get(c, field);
	int64_t value = v ? (int64_t)json_number_value(v) : -1;
	json_decref(c);
	return value;
}

static bool above(void *arg)
{
	struct wanted *w = arg;
	return rig_counter(w->rig, w->pid, w->field) > w->above;
}

void rig_expect_progress(struct rig *r, pid_t pid, const char *field, int64_t floor, int timeout_ms)
{
	struct wanted w = {.rig = r, .pid = pid, .field = field, .above = floor};
	ck_assert_msg(eventually(above, &w, timeout_ms), "pid %d: %s stays at %lld", (int)pid,
	              field, (long long)rig_counter(r, pid, field));
}

char *rig_read(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		return NULL;
	fseek(f, 0, SEEK_END);
	long n = ftell(f);
	rewind(f);
	char *buf = malloc((size_t)n + 1);
	*len = buf ? fread(buf, 1, (size_t)n, f) : 0;
	if (buf)
		buf[*len] = 0;
	fclose(f);
	return buf;
}
