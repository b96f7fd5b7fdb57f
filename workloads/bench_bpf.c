// SPDX-License-Identifier: Apache-2.0
/*
 * bench_bpf.c: what the BPF programs cost while something is recorded: a switch between two threads
 * of one CPU, which pass a byte back and forth through pipes, without them; with them, for programs
 * that are none of rein's business; and for a client that says what it waits for, whose every
 * stretch off the CPU is then looked at. And a system call while outsiders are probed. Rounds of
 * all kinds take turns, so that what else the machine does falls on all alike.
 */
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "../common/clock.h"
#include "../profiler/bpf/bpf.h"
#include "lib/jsonout.h"
#include "lib/benchout.h"
#include "lib/stats.h"
#include "lib/table.h"

#define ROUNDS 21
#define PASSES 4000u
#define CALLS 20000u
#define WANTED 0.20 /* of a switch */

enum kind { BARE, STRANGER, CLIENT, KINDS };
static const char *const kind_key[KINDS] = {"bare", "stranger", "client"};
static const char *const kind_title[KINDS] = {"a switch, nothing loaded", "programs loaded",
                                              "the same, of a client"};

static __thread struct rein_doing doing;

struct ping {
	int to[2], back[2];
	int cpu;
};

static void pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *answer(void *arg)
{
	struct ping *p = arg;
	char c;
	pin(p->cpu);
	doing.phase = REIN_PHASE_SYNC;
	while (read(p->to[0], &c, 1) == 1)
		if (write(p->back[1], &c, 1) != 1)
			break;
	return NULL;
}

/* What the two threads used, the kernel's work for them included: others on this CPU do not count.
 */
static uint64_t cpu_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * REIN_S + (uint64_t)ts.tv_nsec;
}

/* ns per switch; negative: the pipe broke. */
static double time_switches(struct ping *p)
{
	char c = 'x';
	uint64_t begin_ns = cpu_ns();
	for (unsigned i = 0; i < PASSES; i++)
		if (write(p->to[1], &c, 1) != 1 || read(p->back[0], &c, 1) != 1)
			return -1;
	return (double)(cpu_ns() - begin_ns) / (2.0 * PASSES);
}

static double time_calls(void)
{
	uint64_t begin_ns = cpu_ns();
	for (unsigned i = 0; i < CALLS; i++)
		(void)syscall(SYS_getppid);
	return (double)(cpu_ns() - begin_ns) / CALLS;
}

static void drop(void *arg, const struct rein_trace_record *r,
                 const struct rein_bpf_named names[REIN_BPF_NAMES])
{
}

static double time_kind(struct ping *p, enum kind kind)
{
	struct rein_bpf *b = NULL;
	char why[256];
	if (kind != BARE && rein_bpf_open(&b, why, sizeof(why)))
		return -1;
	if (kind == CLIENT) {
		int slot = rein_bpf_join(b, getpid(), 1);
		if (slot >= 0)
			rein_bpf_doing(b, slot,
			               (intptr_t)&doing - (intptr_t)__builtin_thread_pointer());
	}
	(void)time_switches(p); /* warm */
	double ns = time_switches(p);
	if (b)
		rein_bpf_take(b, &(struct rein_bpf_sink){drop, NULL}, rein_now_ns());
	rein_bpf_close(b);
	return ns;
}

/* Whether there are devices the calls to which are counted. */
static bool has_driver(void)
{
	char line[128];
	bool has = false;
	FILE *f = fopen("/proc/devices", "re");
	while (f && !has && fgets(line, sizeof(line), f))
		has = strstr(line, " nvidia") != NULL;
	if (f)
		fclose(f);
	return has;
}

/* What a system call costs more; 0: outsiders cannot be looked at here. */
static double added_to_calls(void)
{
	struct rein_bpf *b = NULL;
	char why[256];
	double bare = time_calls(), probed = bare;
	if (rein_bpf_open(&b, why, sizeof(why)))
		return 0;
	if (rein_bpf_outsiders(b, true, why, sizeof(why)) == 0)
		probed = time_calls();
	rein_bpf_close(b);
	return probed - bare;
}

static bool start(struct ping *p, pthread_t *thread)
{
	p->cpu = sched_getcpu();
	if (p->cpu < 0 || pipe(p->to) || pipe(p->back) || pthread_create(thread, NULL, answer, p))
		return false;
	pin(p->cpu);
	doing.phase = REIN_PHASE_SYNC;
	return true;
}

static void write_spread(struct wl_out *o, const char *key, struct wl_spread s)
{
	wl_out_object(o, key);
	wl_out_double(o, "q1", s.q1);
	wl_out_double(o, "median", s.median);
	wl_out_double(o, "q3", s.q3);
	wl_out_end(o);
}

/* Of each round's figure to the bare one of the same round. */
static void report(const char *path, struct wl_out *o, double ns[KINDS][ROUNDS],
                   double calls[ROUNDS])
{
	struct wl_table t = {.columns = 4};
	double ratio[KINDS][ROUNDS];
	for (unsigned k = 0; k < KINDS; k++)
		for (unsigned r = 0; r < ROUNDS; r++)
			ratio[k][r] = ns[k][r] / ns[BARE][r] - 1;
	wl_table_row(&t, "BPF programs", "ns", "more", "quartiles");
	for (unsigned k = 0; k < KINDS; k++) {
		struct wl_spread s = wl_spread(ns[k], ROUNDS), more = wl_spread(ratio[k], ROUNDS);
		wl_out_object(o, kind_key[k]);
		write_spread(o, "switch_ns", s);
		write_spread(o, "more", more);
		wl_out_end(o);
		wl_table_row(&t, kind_title[k], wl_cell("%.0f", s.median),
		             wl_cell("%+.1f %%%s", 100 * more.median,
		                     more.median > WANTED ? " (NOT 20)" : ""),
		             wl_cell("%+.1f to %+.1f", 100 * more.q1, 100 * more.q3));
	}
	struct wl_spread c = wl_spread(calls, ROUNDS);
	bool driver = has_driver();
	if (driver)
		write_spread(o, "outsiders_syscall_added_ns", c);
	else
		wl_out_string(o, "outsiders_syscall_added_ns", NULL);
	wl_table_row(&t, "a system call, outsiders probed",
	             driver ? wl_cell("%+.0f", c.median) : "n/a", driver ? "" : "no driver here",
	             driver ? wl_cell("%+.0f to %+.0f", c.q1, c.q3) : "");
	printf(
	    "\nA switch between two threads of a CPU (a byte through a pipe), %d rounds in turn; "
	    "wanted: at most 20 %% more.\n\n",
	    ROUNDS);
	wl_table_markdown(&t, stdout);
	printf("\n%s\n", path);
}

static int run(const char *out)
{
	static double ns[KINDS][ROUNDS], calls[ROUNDS];
	struct ping p;
	struct rein_bpf *b = NULL;
	struct wl_out o;
	pthread_t thread;
	char path[PATH_MAX], why[256] = "";
	snprintf(path, sizeof(path), "%s/bpf.json", out);
	if (!start(&p, &thread)) {
		fprintf(stderr, "bench_bpf: no two threads and pipes here\n");
		return 1;
	}
	bool can = rein_bpf_open(&b, why, sizeof(why)) == 0;
	if (can)
		rein_bpf_close(b);
	for (unsigned r = 0; can && r < ROUNDS; r++) {
		for (unsigned k = 0; k < KINDS; k++)
			ns[k][r] = time_kind(&p, k);
		calls[r] = added_to_calls();
	}
	wl_out_file(&o, path);
	wl_out_object(&o, NULL);
	wl_out_uint(&o, "schema_version", 1);
	wl_out_string(&o, "skipped", can ? NULL : why);
	if (can)
		report(path, &o, ns, calls);
	else
		printf("\nBPF programs: skipped: %s\n", why);
	wl_out_end(&o);
	close(p.to[1]); /* ends the thread */
	pthread_join(thread, NULL);
	return wl_out_close(&o) ? 1 : 0;
}

static const char usage[] = "usage: bench_bpf [--out DIR]\n"
			    "  --out DIR      where bpf.json goes (default: bench/ in the build "
			    "folder)\n"
			    "Exit status: 0 done or skipped, 1 a measurement failed, 2 usage.\n";

int main(int argc, char **argv)
{
	char out[PATH_MAX / 2];
	return wl_bench_out(argc, argv, usage, out, sizeof(out)) ? 1 : run(out);
}
