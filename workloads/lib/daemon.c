// SPDX-License-Identifier: Apache-2.0
/* daemon.c: see daemon.h. */
#include "daemon.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"

#define ASK_TIMEOUT_NS 10000000000ull
#define START_TRIES 100 /* of 100 ms */
#define RUN_LEN_MAX 80  /* sockaddr_un holds 108 bytes; the socket's name needs some */

/* Three of the demo's kernels may be under way: one more than the default's two, so that a busy
 * machine may wake the best-effort program late without the GPU running dry. */
static const char config_text[] = "# written for one run\n"
				  "[class default]\n"
				  "priority = 0\n"
				  "backlog = 6ms\n";

static int failed(struct wl_daemon *d, const char *what, const char *why)
{
	snprintf(d->why, sizeof(d->why), "%.100s: %.140s", what, why);
	return -1;
}

/* env plus REIN_RUN_DIR; the storage is the caller's */
static void with_run_dir(const struct wl_daemon *d, char *const env[], char *line, size_t len,
                         char **out, size_t room)
{
	size_t n = 0;
	snprintf(line, len, "REIN_RUN_DIR=%s", d->run);
	out[n++] = line;
	for (size_t i = 0; env && env[i] && n + 1 < room; i++)
		out[n++] = env[i];
	out[n] = NULL;
}

int wl_daemon_ask(struct wl_daemon *d, const char *word1, const char *word2)
{
	char path[PATH_MAX], run[PATH_MAX + 16], *env[2];
	char *argv[] = {path, (char *)word1, (char *)word2, NULL};
	struct wl_child *const one[] = {&d->tool};
	uint64_t end = wl_now_ns() + ASK_TIMEOUT_NS;
	bool signalled = false;
	snprintf(path, sizeof(path), "%s/rein", d->build);
	with_run_dir(d, NULL, run, sizeof(run), env, 2);
	int r = wl_child_start(&d->tool, "rein", argv, env);
	if (r)
		return failed(d, path, strerror(-r));
	while (d->tool.pid && wl_now_ns() < end && !signalled)
		signalled = wl_child_watch(one, 1, 100) == -EINTR;
	wl_child_stop(&d->tool, SIGKILL, 0);
	d->why[0] = 0;
	if (signalled)
		return -1;
	return wl_child_ok(&d->tool) ? 0 : failed(d, "rein", d->tool.out);
}

static int write_config(struct wl_daemon *d, const char *path)
{
	FILE *f = fopen(path, "we");
	if (f) {
		bool good = fputs(config_text, f) >= 0 && fputs(d->config ? d->config : "", f) >= 0;
		if (fclose(f) == 0 && good)
			return 0;
	}
	return failed(d, path, strerror(errno));
}

int wl_daemon_start(struct wl_daemon *d, char *const env[])
{
	char path[PATH_MAX], config[PATH_MAX], run[PATH_MAX + 16], *all[24], text[64];
	char *argv[] = {path, "--config", config, NULL};
	struct wl_child *const one[] = {&d->child};
	snprintf(path, sizeof(path), "%s/reind", d->build);
	snprintf(config, sizeof(config), "%s/rein.conf", d->run);
	if (write_config(d, config))
		return -1;
	with_run_dir(d, env, run, sizeof(run), all, 24);
	int r = wl_child_start(&d->child, "reind", argv, all);
	if (r)
		return failed(d, path, strerror(-r));
	for (int i = 0; i < START_TRIES; i++) {
		if (wl_daemon_ask(d, "status", NULL) == 0)
			return 0;
		if (!d->why[0] || wl_child_watch(one, 1, 100) == -EINTR) {
			d->why[0] = 0;
			return -1;
		}
		if (d->child.pid == 0)
			return failed(d, "reind ended at its start",
			              wl_child_describe(&d->child, text, sizeof(text)));
	}
	return failed(d, "reind does not answer", d->tool.out);
}

int wl_daemon_has(struct wl_daemon *d, const pid_t *pid, size_t n)
{
	json_error_t error;
	json_t *client;
	size_t found = 0, i;
	if (wl_daemon_ask(d, "ps", "--json"))
		return -1;
	json_t *root = json_loads(d->tool.out, 0, &error);
	json_array_foreach(json_object_get(root, "clients"), i, client)
	{
		json_int_t p = json_integer_value(json_object_get(client, "pid"));
		for (size_t k = 0; k < n; k++)
			found += p == pid[k];
	}
	json_decref(root);
	if (found == n)
		return 0;
	return failed(d, "not every program has joined the daemon; rein ps --json", d->tool.out);
}

int wl_daemon_gates(struct wl_daemon *d, struct wl_gates *gates)
{
	const json_t *gate;
	size_t i;
	*gates = (struct wl_gates){0};
	if (wl_daemon_ask(d, "status", "--json"))
		return -1;
	json_t *root = json_loads(d->tool.out, 0, NULL);
	json_array_foreach(json_object_get(root, "gates"), i, gate)
	{
		const char *name = json_is_string(gate) ? json_string_value(gate) : "";
		gates->launch |= strcmp(name, "launch") == 0;
		gates->queue |= strcmp(name, "queue") == 0;
		gates->context |= strcmp(name, "context") == 0;
	}
	json_decref(root);
	return gates->launch ? 0 : failed(d, "rein status lists no gates", d->tool.out);
}

static uint64_t count_of(const json_t *client, const char *what)
{
	return (uint64_t)json_integer_value(json_object_get(client, what));
}

int wl_daemon_held(struct wl_daemon *d, pid_t pid, struct wl_held *held)
{
	const json_t *client;
	bool found = false;
	size_t i;
	if (wl_daemon_ask(d, "ps", "--json"))
		return -1;
	json_t *root = json_loads(d->tool.out, 0, NULL);
	json_array_foreach(json_object_get(root, "clients"), i, client)
	{
		if (json_integer_value(json_object_get(client, "pid")) != pid)
			continue;
		found = true;
		*held = (struct wl_held){.launch_waits = count_of(client, "gate_waits"),
		                         .points = count_of(client, "points"),
		                         .context_holds = count_of(client, "context_holds")};
	}
	json_decref(root);
	return found ? 0 : failed(d, "a program has left the daemon; rein ps --json", d->tool.out);
}

int wl_daemon_stop(struct wl_daemon *d)
{
	char text[64];
	if (d->child.pid == 0)
		return failed(d, "reind ended too early",
		              wl_child_describe(&d->child, text, sizeof(text)));
	wl_child_stop(&d->child, SIGTERM, 5000);
	if (wl_child_ok(&d->child))
		return 0;
	return failed(d, "reind did not stop cleanly",
	              wl_child_describe(&d->child, text, sizeof(text)));
}

int wl_run_folder(const char *out, char *run, size_t len)
{
	if ((size_t)snprintf(run, len, "%s/run", out) <= RUN_LEN_MAX)
		return wl_make_folder(run);
	snprintf(run, len, "/tmp/rein-run-XXXXXX");
	if (mkdtemp(run))
		return 0;
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, run, strerror(errno));
	return -1;
}

void wl_run_folder_remove(const char *out, const char *run)
{
	char config[PATH_MAX];
	if (!run[0] || strncmp(run, out, strlen(out)) == 0)
		return;
	snprintf(config, sizeof(config), "%s/rein.conf", run);
	remove(config);
	remove(run); /* the daemon has removed what it made */
}

int wl_make_folder(const char *path)
{
	char copy[PATH_MAX];
	snprintf(copy, sizeof(copy), "%s", path);
	for (char *p = copy + 1;; p++) {
		if (*p && *p != '/')
			continue;
		char c = *p;
		*p = 0;
		if (mkdir(copy, 0755) && errno != EEXIST) {
			fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, copy,
			        strerror(errno));
			return -1;
		}
		*p = c;
		if (!c)
			return 0;
	}
}
