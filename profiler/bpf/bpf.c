// SPDX-License-Identifier: Apache-2.0
/* bpf.c: see bpf.h. Loads the scheduler's programs, and says what they see. */
#include "bpf.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "outsider.h"
#include "records.h"

#include "sched.skel.h"

#define VMLINUX "/sys/kernel/btf/vmlinux"
#define FIRST_PID_NAMESPACE 0xeffffffcu /* its inode: include/linux/proc_ns.h */
#define TAKEN_MAX (2 * REIN_BPF_RING_BYTES / sizeof(struct rein_bpf_off))

struct rein_bpf {
	struct rein_sched *programs;
	struct ring_buffer *ring;
	struct rein_outsiders *outsiders; /* NULL: nobody asked */
	const struct rein_bpf_sink *sink; /* while it is taken from */
	unsigned taken;
	uint64_t lost[REIN_BPF_CLIENTS]; /* of each slot, as reported */
	uint16_t marked[REIN_BPF_MARKS]; /* clients with those low bits */
};

/* ---------------------------------------------------------------- loading */

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

/* The programs see the machine's PIDs, whatever reind calls itself. */
static bool has_machines_pids(void)
{
	struct stat st;
	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == FIRST_PID_NAMESPACE;
}

static int load(struct rein_bpf *b, bool tells_interrupts)
{
	struct rein_sched *p = rein_sched__open();
	if (!p)
		return -ENOMEM; /* it is part of us: nothing else can be wrong */
	bpf_program__set_autoload(p->progs.rein_waking, tells_interrupts);
	bpf_program__set_autoload(p->progs.rein_waking_any, !tells_interrupts);
	int err = rein_sched__load(p);
	err = err ? err : rein_sched__attach(p);
	if (err)
		rein_sched__destroy(p);
	else
		b->programs = p;
	return err;
}

static int take_off(void *arg, void *data, size_t size);

static int start(struct rein_bpf *b)
{
	int err = load(b, true);
	if (err && err != -EPERM)
		err = load(b, false);
	if (err)
		return err;
	b->ring = ring_buffer__new(bpf_map__fd(b->programs->maps.ring), take_off, b, NULL);
	return b->ring ? 0 : -errno;
}

static const char *reason(int err)
{
	if (!has_machines_pids())
		return "reind runs in a PID namespace of its own; give it the machine's (hostPID)";
	if (access(VMLINUX, R_OK) != 0)
		return "the kernel has no " VMLINUX " (CONFIG_DEBUG_INFO_BTF)";
	if (err == -EACCES && geteuid() == 0)
		return "this kernel's verifier refuses the BPF programs";
	if (err == -EPERM || err == -EACCES)
		return "BPF is not permitted; run reind as root or with CAP_BPF and CAP_PERFMON";
	return strerror(-err);
}

int rein_bpf_open(struct rein_bpf **out, char *why, size_t why_len)
{
	libbpf_set_print(quiet);
	struct rein_bpf *b = calloc(1, sizeof(*b));
	int err = !b ? -ENOMEM : has_machines_pids() ? start(b) : -ENOTSUP;
	if (!err) {
		*out = b;
		return 0;
	}
	snprintf(why, why_len, "waits for the CPU are not recorded: %s", reason(err));
	rein_bpf_close(b);
	return err;
}

void rein_bpf_close(struct rein_bpf *b)
{
	if (!b)
		return;
	rein_outsiders_close(b->outsiders);
	ring_buffer__free(b->ring);
	rein_sched__destroy(b->programs);
	free(b);
}

uint32_t rein_bpf_sees(const struct rein_bpf *b)
{
	return REIN_SEES_OFFCPU | (b->outsiders ? REIN_SEES_OUTSIDERS : 0);
}

/* ---------------------------------------------------------------- clients */

static struct rein_bpf_client *client(struct rein_bpf *b, int slot)
{
	return &b->programs->bss->client[slot];
}

int rein_bpf_join(struct rein_bpf *b, pid_t pid, uint32_t id)
{
	uint32_t tgid = (uint32_t)pid, slot = 0;
	while (slot < REIN_BPF_CLIENTS && client(b, (int)slot)->tgid)
		slot++;
	if (slot == REIN_BPF_CLIENTS)
		return -ENOSPC;
	*client(b, (int)slot) = (struct rein_bpf_client){.id = id};
	b->lost[slot] = 0;
	__atomic_store_n(&client(b, (int)slot)->tgid, tgid, __ATOMIC_RELEASE);
	b->marked[tgid % REIN_BPF_MARKS]++;
	b->programs->bss->marks[tgid % REIN_BPF_MARKS] = 1;
	int err = bpf_map_update_elem(bpf_map__fd(b->programs->maps.slots), &tgid, &slot, BPF_ANY);
	if (err) {
		rein_bpf_leave(b, (int)slot);
		return err;
	}
	if (b->outsiders)
		rein_outsiders_let_go(b->outsiders, pid);
	return (int)slot;
}

void rein_bpf_leave(struct rein_bpf *b, int slot)
{
	uint32_t tgid = client(b, slot)->tgid;
	(void)bpf_map_delete_elem(bpf_map__fd(b->programs->maps.slots), &tgid);
	__atomic_store_n(&client(b, slot)->tgid, 0, __ATOMIC_RELEASE);
	b->programs->bss->marks[tgid % REIN_BPF_MARKS] = --b->marked[tgid % REIN_BPF_MARKS] > 0;
}

void rein_bpf_doing(struct rein_bpf *b, int slot, int64_t doing)
{
	__atomic_store_n(&client(b, slot)->doing, doing, __ATOMIC_RELAXED);
}

uint64_t rein_bpf_lost(struct rein_bpf *b, int slot)
{
	uint64_t lost = __atomic_load_n(&client(b, slot)->lost, __ATOMIC_RELAXED);
	uint64_t news = lost - b->lost[slot];
	b->lost[slot] = lost;
	return news;
}

static bool is_client(void *arg, pid_t pid)
{
	struct rein_bpf *b = arg;
	for (int i = 0; i < (int)REIN_BPF_CLIENTS; i++)
		if (client(b, i)->tgid == (uint32_t)pid)
			return true;
	return false;
}

/* ---------------------------------------------------------------- outsiders */

int rein_bpf_outsiders(struct rein_bpf *b, bool on, char *why, size_t why_len)
{
	if (on == (b->outsiders != NULL))
		return 0;
	if (on)
		return rein_outsiders_open(&b->outsiders, bpf_map__fd(b->programs->maps.slots),
		                           "/proc/devices", why, why_len);
	rein_outsiders_close(b->outsiders);
	b->outsiders = NULL;
	return 0;
}

unsigned rein_bpf_probed(const struct rein_bpf *b)
{
	return b->outsiders ? rein_outsiders_probed(b->outsiders) : 0;
}

unsigned rein_bpf_cost_ns(const struct rein_bpf *b)
{
	return b->outsiders ? rein_outsiders_cost_ns(b->outsiders) : 0;
}

/* ---------------------------------------------------------------- taking */

/* Not for ever: who fills the ring as fast as it is emptied is met again in the next pass. */
static int take_off(void *arg, void *data, size_t size)
{
	struct rein_bpf *b = arg;
	const struct rein_bpf_off *off = data;
	struct rein_trace_record r;
	if (size < sizeof(*off))
		return 0;
	rein_bpf_off_record(off, &r);
	struct rein_bpf_named names[REIN_BPF_NAMES] = {{off->before_tgid, ""},
	                                               {off->waker_tgid, ""}};
	memcpy(names[0].comm, off->before_comm, sizeof(names[0].comm));
	b->sink->record(b->sink->arg, &r, names);
	return ++b->taken < TAKEN_MAX ? 0 : -EAGAIN;
}

void rein_bpf_take(struct rein_bpf *b, const struct rein_bpf_sink *sink, uint64_t now_ns)
{
	b->sink = sink;
	b->taken = 0;
	(void)ring_buffer__consume(b->ring);
	if (!b->outsiders)
		return;
	rein_outsiders_look(b->outsiders, is_client, b, now_ns);
	rein_outsiders_take(b->outsiders, sink);
}
