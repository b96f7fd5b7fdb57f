// SPDX-License-Identifier: Apache-2.0
/*
 * switches.h: who had a CPU while a thread waited for it, by the kernel's own trace of the
 * scheduler (perf_event_open(2)): each switch of that CPU, and each time the thread was woken,
 * wherever. Nothing of ours is asked, so what ours tells can be compared with it. For one thread,
 * which stays on that CPU. Needs root.
 */
#ifndef REIN_TESTS_SWITCHES_H
#define REIN_TESTS_SWITCHES_H

#include <linux/perf_event.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/harness.h"

#define SWITCHES_CPUS 256
#define SWITCHES_PAGES 16384u /* of the CPU's ring: a million switches */
#define WAKINGS_PAGES 128u
#define SWITCHES_MAX (1u << 20)
#define WAKINGS_MAX (1u << 16)
#define SWITCHES_WHOS 256u

struct switches_ring {
	int fd;
	struct perf_event_mmap_page *page;
	size_t bytes; /* of its data */
};

/* A process had the CPU; a thread of it is the one that is looked at, or not. */
struct switches_stretch {
	uint64_t begin, end;
	uint32_t pid, tid;
	bool preempted; /* it could have run on */
};

static struct {
	struct switches_ring cpu, waking[SWITCHES_CPUS];
	unsigned n_waking;
	uint32_t tid;
	struct switches_stretch stretch[SWITCHES_MAX];
	unsigned n;
	uint64_t woken[WAKINGS_MAX];
	unsigned n_woken;
	bool lost;
} switches;

struct switches_who {
	uint32_t pid;
	uint64_t ns;
};

/* ---------------------------------------------------------------- opening */

/* The number of the event, from a tracefs of our own: nothing is mounted for anybody else. */
static int switches_waking_id(void)
{
	int to[2], id = -1;
	char text[16] = "";
	ck_assert_int_eq(pipe(to), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		const char *dir = "/sys/kernel/tracing", *of = "events/sched/sched_waking/id";
		char path[96];
		snprintf(path, sizeof(path), "%s/%s", dir, of);
		if (access(path, R_OK) != 0 &&
		    (unshare(CLONE_NEWNS) || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		     mount("tracefs", dir, "tracefs", 0, NULL)))
			_exit(1);
		FILE *f = fopen(path, "r");
		_exit(!f || !fgets(text, sizeof(text), f) ||
		      write(to[1], text, strlen(text)) != (ssize_t)strlen(text));
	}
	close(to[1]);
	if (read(to[0], text, sizeof(text) - 1) > 0)
		id = atoi(text);
	close(to[0]);
	waitpid(pid, NULL, 0);
	return id;
}

static bool switches_open_ring(struct switches_ring *r, struct perf_event_attr *attr, int cpu,
                               size_t pages)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	attr->size = sizeof(*attr);
	attr->sample_type |= PERF_SAMPLE_TID | PERF_SAMPLE_TIME;
	attr->sample_id_all = 1;
	attr->use_clockid = 1;
	attr->clockid = CLOCK_MONOTONIC;
	r->fd = (int)syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (r->fd < 0)
		return false;
	r->bytes = pages * page;
	r->page = mmap(NULL, r->bytes + page, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->page != MAP_FAILED)
		return true;
	close(r->fd);
	return false;
}

static void switches_drop(struct switches_ring *r)
{
	munmap(r->page, r->bytes + (size_t)sysconf(_SC_PAGESIZE));
	close(r->fd);
}

static void switches_close(void)
{
	switches_drop(&switches.cpu);
	while (switches.n_waking)
		switches_drop(&switches.waking[--switches.n_waking]);
}

static bool switches_open_waking(int id)
{
	char filter[32];
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	snprintf(filter, sizeof(filter), "pid == %u", switches.tid);
	for (int cpu = 0; cpu < cpus && cpu < SWITCHES_CPUS; cpu++) {
		struct perf_event_attr attr = {
		    .type = PERF_TYPE_TRACEPOINT, .config = (unsigned)id, .sample_period = 1};
		struct switches_ring *r = &switches.waking[switches.n_waking];
		if (!switches_open_ring(r, &attr, cpu, WAKINGS_PAGES))
			continue; /* it is off-line: nobody is woken there */
		switches.n_waking++;
		if (ioctl(r->fd, PERF_EVENT_IOC_SET_FILTER, filter))
			return false;
	}
	return switches.n_waking > 0;
}

/* From now on. False, and why: this kernel, or this user, does not let us. */
static bool switches_open(int cpu, pid_t tid, const char **why)
{
	struct perf_event_attr attr = {
	    .type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_DUMMY, .context_switch = 1};
	int id = switches_waking_id();
	switches.tid = (uint32_t)tid;
	switches.n = switches.n_woken = switches.n_waking = 0;
	switches.lost = false;
	*why = id < 0 ? "no tracefs" : "no trace of switches by perf_event_open";
	if (id < 0 || !switches_open_ring(&switches.cpu, &attr, cpu, SWITCHES_PAGES))
		return false;
	if (switches_open_waking(id))
		return true;
	*why = "no trace of wake-ups by perf_event_open";
	switches_close();
	return false;
}

/* ---------------------------------------------------------------- reading */

struct switches_id { /* as our attributes have it, at a record's end */
	uint32_t pid, tid;
	uint64_t time;
};

static void switches_note(const struct perf_event_header *h, const struct switches_id *id)
{
	static uint64_t since;
	switches.lost |= h->type == PERF_RECORD_LOST;
	if (h->type == PERF_RECORD_SAMPLE && switches.n_woken < WAKINGS_MAX)
		switches.woken[switches.n_woken++] = id->time;
	if (h->type != PERF_RECORD_SWITCH_CPU_WIDE || !(h->misc & PERF_RECORD_MISC_SWITCH_OUT))
		return;
	if (!switches.n)
		since = id->time;
	if (switches.n < SWITCHES_MAX)
		switches.stretch[switches.n++] =
		    (struct switches_stretch){since, id->time, id->pid, id->tid,
		                              (h->misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT) != 0};
	since = id->time;
}

static void switches_read_ring(struct switches_ring *r)
{
	uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
	const char *data = (const char *)r->page + r->page->data_offset;
	switches.lost |= head + 4096 > r->bytes; /* it was never emptied */
	for (uint64_t at = 0; at < head;) {
		const struct perf_event_header *h = (const void *)(data + at);
		/* samples begin with it, all others end with it */
		bool sample = h->type == PERF_RECORD_SAMPLE;
		ck_assert_uint_ge(h->size, sizeof(*h) + sizeof(struct switches_id));
		switches_note(h, (const void *)(data + at +
		                                (sample ? sizeof(*h)
		                                        : h->size - sizeof(struct switches_id))));
		at += h->size;
	}
}

static int switches_by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* All until now; the rings are large enough that nothing is read while it runs. False: they were
 * not, on this machine. */
static bool switches_read(void)
{
	switches_read_ring(&switches.cpu);
	for (unsigned i = 0; i < switches.n_waking; i++)
		switches_read_ring(&switches.waking[i]);
	qsort(switches.woken, switches.n_woken, sizeof(switches.woken[0]), switches_by_time);
	return !switches.lost && switches.n < SWITCHES_MAX;
}

/* ---------------------------------------------------------------- asking */

/* Since when it could have run again, after it left at `out`; `in`: not at all. */
static uint64_t switches_runnable(uint64_t out, uint64_t in, bool preempted)
{
	uint64_t since = in;
	if (preempted)
		return out;
	for (unsigned i = 0; i < switches.n_woken && switches.woken[i] <= in; i++)
		if (switches.woken[i] > out)
			return switches.woken[i];
		else if (out - switches.woken[i] < 100000) /* while it was about to sleep */
			since = out;
	return since;
}

static void switches_add(struct switches_who *who, unsigned *n, uint32_t pid, uint64_t ns)
{
	unsigned i = 0;
	while (i < *n && who[i].pid != pid)
		i++;
	if (i == SWITCHES_WHOS)
		return;
	if (i == *n)
		who[(*n)++] = (struct switches_who){.pid = pid};
	who[i].ns += ns;
}

/* Who had the CPU between the two moments while the thread could have run, and for how long.
 * Returns how many they are. */
static unsigned switches_blame(uint64_t begin, uint64_t end, struct switches_who *who)
{
	unsigned n = 0, last = SWITCHES_MAX; /* its stretch before */
	for (unsigned i = 0; i < switches.n && switches.stretch[i].begin < end + 1000000000; i++) {
		const struct switches_stretch *s = &switches.stretch[i];
		if (s->tid != switches.tid)
			continue;
		unsigned from = last == SWITCHES_MAX ? i : last;
		uint64_t out = switches.stretch[from].end;
		uint64_t since = switches_runnable(out, s->begin, switches.stretch[from].preempted);
		since = since > begin ? since : begin;
		for (unsigned k = from + 1; k < i; k++) {
			const struct switches_stretch *by = &switches.stretch[k];
			uint64_t lo = by->begin > since ? by->begin : since;
			uint64_t hi = by->end < end ? by->end : end;
			if (hi > lo)
				switches_add(who, &n, by->pid, hi - lo);
		}
		last = i;
	}
	return n;
}

#endif
