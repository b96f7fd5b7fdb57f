// SPDX-License-Identifier: Apache-2.0
/*
 * why_rig.h: programs that are delayed on the software GPU, what happened to them by the GPU's own
 * logs, and what `rein why` tells of it. Of the requests that were delayed by a millisecond or more
 * 95 % must name the cause and the culprit, and how long it was within 10 % + 100 us; and of each
 * the parts add up to its latency. Included by one test program each.
 */
#ifndef REIN_TESTS_WHY_RIG_H
#define REIN_TESTS_WHY_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profiler/recording.h"
#include "tests/rig.h"

#define RIG __attribute__((unused)) /* no test uses all */
#define RUN_MS 60000
#define WAIT_MS 20000
#define LOAD_MS 3000
#define REQUESTS 200
#define TOLD "50" /* stories asked for */
#define DELAY_NS 1000000ull
#define ATTEMPTS 3 /* a busy host makes other things late as well: those are told too */

static struct rig rig;

/* ---------------------------------------------------------------- what happened */

struct truth {
	uint64_t begin, end, host, host_queued, calls, calls_queued, queued, last;
};

struct owner {
	pid_t pid;
	uint64_t begin, end;
};

static RIG struct truth request[REQUESTS];
static RIG unsigned n_requests;
#define LOG_MAX 65536u
static RIG struct owner owner[LOG_MAX], copies[LOG_MAX], kernels[LOG_MAX];
static RIG unsigned n_owners;
static RIG unsigned n_copies, n_kernels;
static RIG bool has_run_queue; /* the daemon could load its BPF programs */

static RIG void read_requests(char *text)
{
	n_requests = 0;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		unsigned long long v[8];
		if (n_requests < REQUESTS &&
		    sscanf(line, "%llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2],
		           &v[3], &v[4], &v[5], &v[6], &v[7]) == 8)
			request[n_requests++] =
			    (struct truth){v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
	}
}

static RIG void read_owners(const char *path)
{
	unsigned long long begin, end;
	int pid;
	FILE *f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	n_owners = 0;
	while (n_owners < LOG_MAX && fscanf(f, "%d %llu %llu", &pid, &begin, &end) == 3)
		owner[n_owners++] = (struct owner){pid, begin, end};
	fclose(f);
}

/* What ran on the GPU, by the order log: kernels or copies. */
static RIG unsigned read_order(const char *path, const char *what, struct owner *list)
{
	unsigned long long begin, end;
	char line[256], kind[16];
	unsigned n = 0;
	int pid;
	FILE *f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (n < LOG_MAX && fgets(line, sizeof(line), f))
		if (sscanf(line, "%d %*u %15s %*s %llu %llu", &pid, kind, &begin, &end) == 4 &&
		    strcmp(kind, what) == 0)
			list[n++] = (struct owner){pid, begin, end};
	fclose(f);
	return n;
}

static RIG uint64_t owned(pid_t pid, uint64_t begin, uint64_t end)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < n_owners; i++) {
		uint64_t lo = owner[i].begin > begin ? owner[i].begin : begin;
		uint64_t hi = owner[i].end < end ? owner[i].end : end;
		if (owner[i].pid == pid && hi > lo)
			sum += hi - lo;
	}
	return sum;
}

/* ---------------------------------------------------------------- what is told */

#define ANYBODY (-1)

/* Parts with one of these causes ("a b") by this process; 0: by itself or nobody. */
static RIG uint64_t told(const json_t *story, const char *causes, pid_t pid)
{
	uint64_t sum = 0;
	size_t i;
	json_t *p;
	json_array_foreach(json_object_get(story, "parts"), i, p)
	{
		const char *cause = json_string_value(json_object_get(p, "cause"));
		json_t *by = json_object_get(json_object_get(p, "by"), "pid");
		const char *found = strstr(causes, cause);
		size_t len = strlen(cause);
		if (found && (found[len] == ' ' || !found[len]) &&
		    (pid == ANYBODY || json_integer_value(by) == (json_int_t)pid))
			sum += (uint64_t)json_integer_value(json_object_get(p, "ns"));
	}
	return sum;
}

/* `rein why`: more than rig_rein() has room for. The caller drops it. */
static RIG json_t *why_of(pid_t victim)
{
	static char out[4 << 20];
	char pid[16];
	char *argv[] = {(char *)built("rein"), "why", pid, "--worst", TOLD, "--json", NULL};
	char *env[] = {rig.env[0], NULL};
	json_error_t error;
	snprintf(pid, sizeof(pid), "%d", victim);
	ck_assert_msg(proc_run(argv, env, out, sizeof(out), RUN_MS) == 0, "%.1000s", out);
	json_t *why = json_loads(out, 0, &error);
	ck_assert_msg(why != NULL, "%s: %.1000s", error.text, out);
	return why;
}

static RIG const struct truth *truth_of(const json_t *story)
{
	uint64_t begin = (uint64_t)json_integer_value(json_object_get(story, "begin_ns"));
	for (unsigned i = 0; i < n_requests; i++)
		if (request[i].begin == begin)
			return &request[i];
	return NULL;
}

static RIG void check_sum(const json_t *story)
{
	uint64_t sum = 0;
	size_t i;
	json_t *p;
	json_array_foreach(json_object_get(story, "parts"), i, p)
	{
		sum += (uint64_t)json_integer_value(json_object_get(p, "ns"));
	}
	ck_assert_uint_eq(sum, (uint64_t)json_integer_value(json_object_get(story, "latency_ns")));
}

/* What is not measured says so: slow-downs never are. */
static RIG void check_estimates(const json_t *story)
{
	size_t i;
	json_t *p;
	json_array_foreach(json_object_get(story, "parts"), i, p)
	{
		const char *cause = json_string_value(json_object_get(p, "cause"));
		ck_assert_msg(
		    (strcmp(cause, "slow_down") != 0 && strcmp(cause, "gpu_unsplit") != 0) ||
			json_is_true(json_object_get(p, "estimate")),
		    "%s is not marked as an estimate", cause);
	}
}

struct question {
	const char *causes;
	pid_t culprit; /* 0: itself */
	uint64_t (*truth)(const struct truth *t);
	uint64_t (*most)(const struct truth *t); /* NULL: that is exact */
};

static RIG bool is_right(uint64_t least, uint64_t most, uint64_t got)
{
	return got + least / 10 + 100000 >= least && got <= most + most / 10 + 100000;
}

/* Asks for one program's requests. How many were delayed, and of how many it is told right. */
static RIG void ask(pid_t victim, const struct question *q, unsigned *delayed, unsigned *right)
{
	size_t i;
	json_t *s;
	json_t *why = why_of(victim);
	has_run_queue = json_is_true(json_object_get(why, "has_run_queue"));
	*delayed = *right = 0;
	json_array_foreach(json_object_get(why, "stories"), i, s)
	{
		const struct truth *t = truth_of(s);
		check_sum(s);
		check_estimates(s);
		uint64_t truth = t ? q->truth(t) : 0, got = told(s, q->causes, q->culprit);
		if (truth < DELAY_NS)
			continue;
		++*delayed;
		bool is = is_right(truth, q->most ? q->most(t) : truth, got);
		*right += is;
		if (!is)
			fprintf(stderr, "%s: %.3f ms, told %.3f: %s\n", q->causes,
			        (double)truth / 1e6, (double)got / 1e6,
			        json_string_value(json_object_get(s, "story")));
	}
	json_decref(why);
}

/* ---------------------------------------------------------------- the rig */

/* The run queue is recorded from when its programs are loaded; where they cannot be that shows by
 * their absence. */
static RIG bool sees_run_queue(void *unused)
{
	char path[128];
	struct rein_segment_header h = {0};
	snprintf(path, sizeof(path), "%s/events/00000001.rec", rig.dir);
	FILE *f = fopen(path, "r");
	bool whole = f && fread(&h, sizeof(h), 1, f) == 1;
	if (f)
		fclose(f);
	return whole && h.sees & REIN_SEES_OFFCPU;
}

static RIG void start(const char *conf, const char *times)
{
	char path[96];
	char *more[] = {"--config", path, NULL};
	rig_init(&rig, times);
	snprintf(path, sizeof(path), "%s/rein.conf", rig.dir);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fprintf(f, "[daemon]\nevents = on\n%s\n", conf);
	fclose(f);
	snprintf(path, sizeof(path), "%s/owners", rig.dir);
	setenv("SOFTGPU_OWNER_LOG", path, 1);
	snprintf(path, sizeof(path), "%s/order", rig.dir);
	setenv("SOFTGPU_ORDER_LOG", path, 1);
	setenv("SOFTGPU_SWITCH", "1us", 1); /* the log has no switches */
	snprintf(path, sizeof(path), "%s/rein.conf", rig.dir);
	rig_daemon_with(&rig, more);
	if (geteuid() == 0)
		(void)eventually(sees_run_queue, NULL, LOAD_MS);
}

static RIG void stop(struct proc *p)
{
	if (p && p->pid) {
		proc_kill(p, SIGKILL);
		proc_wait(p, NULL, 0, WAIT_MS);
	}
	unsetenv("SOFTGPU_OWNER_LOG");
	unsetenv("SOFTGPU_ORDER_LOG");
	unsetenv("SOFTGPU_SWITCH");
	rig_fini(&rig);
}

static RIG void finish(struct proc *p)
{
	static char out[1 << 16];
	char path[96];
	ck_assert_int_eq(proc_wait(p, out, sizeof(out), RUN_MS), 0);
	read_requests(out);
	ck_assert_uint_gt(n_requests, 10);
	snprintf(path, sizeof(path), "%s/owners", rig.dir);
	read_owners(path);
	snprintf(path, sizeof(path), "%s/order", rig.dir);
	n_copies = read_order(path, "copy", copies);
	n_kernels = read_order(path, "kernel", kernels);
}

static RIG void expect_most(unsigned delayed, unsigned right)
{
	ck_assert_msg(delayed >= 5 && right * 20 >= delayed * 19, "%u of %u delayed ones", right,
	              delayed);
}

static RIG bool has_cupti(void)
{
	return access(built("softgpu/libcupti.so.13"), F_OK) == 0 &&
	       access(built("librein-cupti.so"), F_OK) == 0;
}

#endif
