// SPDX-License-Identifier: Apache-2.0
/*
 * bpf_cost.c: what do eBPF probes cost the program that they watch?
 *
 * Asks: the time of a call of an empty function bare, with a uprobe, with a uprobe and a return
 * probe, by the function's first instruction (some are emulated by the kernel, others must be
 * single-stepped, which a virtual machine makes slow); the time of a switch between two threads
 * of one CPU, bare and with programs on sched_switch and sched_waking.
 * Read: medians over batches of calls, in ns per call; the probe's cost is the difference to the
 * bare call. Each attached program adds one to a counter: the cheapest that does anything.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/bpf.h"
#include "lib/btf.h"

#define LIMIT_S 40
#define BATCHES 51
#define CALLS_BARE 20000
#define CALLS_PROBED 300
#define SWITCH_ROUNDS 400
#define VMLINUX "/sys/kernel/btf/vmlinux"

static struct wl_samples time_calls(const struct wl_bpf_target *t, unsigned calls)
{
	struct wl_samples s = {0};
	long (*volatile call)(long) = t->call;
	for (int b = -2; b < BATCHES; b++) { /* two to warm up */
		uint64_t begin = wl_now_ns();
		for (unsigned i = 0; i < calls; i++)
			call(i);
		uint64_t took = wl_now_ns() - begin;
		if (b >= 0)
			wl_samples_add(&s, took);
	}
	return s;
}

static void say_calls(const struct wl_bpf_target *t, const char *how, unsigned calls)
{
	char id[96];
	snprintf(id, sizeof(id), "telemetry.call_%s_%s_ns", t->name, how);
	struct wl_samples s = time_calls(t, calls);
	wl_fact_samples(id, "ns", &s, calls, "first instruction: %s", t->what);
	wl_samples_fini(&s);
}

/* A counting program attached to one end of the function; -errno. */
static int attach(int prog, const struct wl_bpf_target *t, bool at_return)
{
	return wl_bpf_attach_probe(
	    prog, &(struct wl_bpf_probe){"uprobe", (const void *)t->call, at_return, NULL});
}

static void cost_of_probes(const struct wl_bpf_target *t, int prog)
{
	char id[96];
	say_calls(t, "bare", CALLS_BARE);
	int entry = attach(prog, t, false);
	if (entry < 0) {
		snprintf(id, sizeof(id), "telemetry.call_%s_uprobe_ns", t->name);
		wl_fact_skip(id, "attaching a uprobe: %s", strerror(-entry));
		return;
	}
	say_calls(t, "uprobe", CALLS_PROBED);
	int leave = attach(prog, t, true);
	if (leave >= 0) {
		say_calls(t, "uprobe_uretprobe", CALLS_PROBED);
		close(leave);
	}
	close(entry);
}

/* ---- switches: two threads on one CPU pass a byte back and forth */
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
	while (read(p->to[0], &c, 1) == 1)
		if (write(p->back[1], &c, 1) != 1)
			break;
	return NULL;
}

static bool time_switches(struct ping *p, struct wl_samples *s)
{
	char c = 'x';
	for (int b = -2; b < BATCHES; b++) {
		uint64_t begin = wl_now_ns();
		for (int i = 0; i < SWITCH_ROUNDS; i++)
			if (write(p->to[1], &c, 1) != 1 || read(p->back[0], &c, 1) != 1)
				return false;
		uint64_t took = wl_now_ns() - begin;
		if (b >= 0)
			wl_samples_add(s, took);
	}
	return true;
}

static void say_switches(struct ping *p, const char *id, const char *note)
{
	struct wl_samples s = {0};
	if (time_switches(p, &s))
		wl_fact_samples(id, "ns", &s, 2.0 * SWITCH_ROUNDS, "%s", note);
	else
		wl_fact_skip(id, "the pipe between the two threads broke");
	wl_samples_fini(&s);
}

/* A counting program at a tracepoint; the link, or -errno. */
static int trace(const struct wl_btf *btf, const char *type, int map)
{
	struct wl_bpf p = {.type = BPF_PROG_TYPE_TRACING, .attach_type = WL_BPF_ATTACH_RAW_TP};
	p.btf_id = wl_btf_find(btf, WL_BTF_TYPEDEF, type);
	if (p.btf_id < 0)
		return p.btf_id;
	wl_bpf_emit_count(&p, map);
	int prog = wl_bpf_load(&p);
	if (prog < 0)
		return prog;
	int link = wl_bpf_attach_raw(prog, NULL);
	close(prog);
	return link;
}

static void cost_of_tracing(struct ping *p, int map)
{
	const char *id = "telemetry.switch_traced_ns";
	struct wl_btf btf;
	void *blob = NULL;
	size_t len;
	int err = wl_btf_read(VMLINUX, &blob, &len);
	if (!err)
		err = wl_btf_open(&btf, blob, len);
	int at_switch = err ? err : trace(&btf, "btf_trace_sched_switch", map);
	int at_waking = err ? err : trace(&btf, "btf_trace_sched_waking", map);
	if (at_switch >= 0 && at_waking >= 0)
		say_switches(p, id, "with programs on sched_switch and sched_waking that count");
	else
		wl_fact_skip(id, "attaching to sched_switch and sched_waking: %s",
		             strerror(-(at_switch < 0 ? at_switch : at_waking)));
	if (at_switch >= 0)
		close(at_switch);
	if (at_waking >= 0)
		close(at_waking);
	free(blob);
}

static void cost_of_switches(int map)
{
	struct ping p = {.cpu = sched_getcpu()};
	pthread_t thread;
	if (p.cpu < 0 || pipe(p.to) != 0 || pipe(p.back) != 0 ||
	    pthread_create(&thread, NULL, answer, &p) != 0) {
		wl_fact_skip("telemetry.switch_bare_ns", "no second thread and pipes: %s",
		             strerror(errno));
		return;
	}
	pin(p.cpu);
	say_switches(&p, "telemetry.switch_bare_ns",
	             "a byte through a pipe to a thread on the same CPU, half a round trip");
	if (map >= 0)
		cost_of_tracing(&p, map);
	close(p.to[1]); /* ends the thread */
	pthread_join(thread, NULL);
	close(p.to[0]);
	close(p.back[0]);
	close(p.back[1]);
}

int main(void)
{
	struct wl_bpf p = {.type = BPF_PROG_TYPE_KPROBE};
	wl_fact_bound(LIMIT_S);
	int map = wl_bpf_counter(), prog = map;
	if (map >= 0) {
		wl_bpf_emit_count(&p, map);
		prog = wl_bpf_load(&p);
	}
	if (prog < 0)
		wl_fact_skip("telemetry.call_nop_uprobe_ns", "no BPF program loads here: %s",
		             strerror(-prog));
	for (size_t i = 0; i < wl_bpf_n_targets; i++) {
		if (prog >= 0)
			cost_of_probes(&wl_bpf_targets[i], prog);
		else
			say_calls(&wl_bpf_targets[i], "bare", CALLS_BARE);
	}
	cost_of_switches(map);
	return 0;
}
