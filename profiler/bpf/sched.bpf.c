// SPDX-License-Identifier: Apache-2.0
/*
 * sched.bpf.c: when threads of clients are off their CPU, for how long of that they could have run,
 * who had the CPU instead, and what they were waiting for.
 *
 * sched_switch runs for every switch of the machine, so what is not a client's must be told
 * quickly: `marks` says for which processes it is worth to look closer. Threads have rows in a
 * table by the low bits of their ID. Of two that have the same row the one that was switched out
 * last has it, and the other's stretch is not seen. (Tasks' own storage would have room for all, at
 * three times the price.)
 *
 * A thread that was put aside while it could run (preempted, or it yielded) has waited for the CPU
 * all the time; one that slept, from when it was woken: sched_waking, which runs on the waker's
 * CPU, is the moment and names the waker. Where an interrupt wakes, nobody is named: the thread it
 * interrupted has nothing to do with it.
 *
 * Who had the CPU meanwhile is often not whom the thread relieves: that may be a poller of some
 * microseconds, after somebody who had it for milliseconds. So each CPU remembers its last longer
 * stretches (the scheduler has counted for how long anyway), and who had the longest of them within
 * the wait is named.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "shared.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL"; /* only such read user memory */

extern const int __preempt_count __ksym __weak;
extern const struct pcpu_hot pcpu_hot __ksym __weak;
#define THREADS 16384u
#define TASK_DEAD 0x80        /* include/linux/sched.h: its last switch */
#define IN_INTERRUPT 0xff0100 /* NMI, hard and serving soft: include/linux/preempt.h */

/* the loader has both mapped */
struct rein_bpf_client client[REIN_BPF_CLIENTS];
uint8_t marks[REIN_BPF_MARKS]; /* by the low bits of a tgid: a client may have it */

struct {
	__uint(type, BPF_MAP_TYPE_HASH); /* tgid → slot */
	__uint(max_entries, REIN_BPF_CLIENTS);
	__type(key, uint32_t);
	__type(value, uint32_t);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, REIN_BPF_RING_BYTES);
} ring SEC(".maps");

static struct thread {
	uint64_t begin_ns; /* 0: it has the CPU, or is no more */
	uint64_t woken_ns;
	struct rein_doing doing;
	uint32_t pid; /* whose row it is */
	uint32_t slot, slept;
	uint32_t waker, waker_tgid;
} threads[THREADS];

/* The last stretches of LONG_NS and more that some process had a CPU. */
#define LONG_NS 50000u
#define RUNS 8u
struct run {
	uint64_t end_ns, ran_ns;
	uint64_t tgid;
};
struct runs {
	uint32_t next;
	struct run run[RUNS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct runs);
} runs SEC(".maps");

static __always_inline struct runs *runs_here(void)
{
	uint32_t zero = 0;
	return bpf_map_lookup_elem(&runs, &zero);
}

static __always_inline bool in_interrupt(void)
{
	int count = 0;
	if (&__preempt_count)
		count = *(const int *)bpf_this_cpu_ptr(&__preempt_count);
	else if (&pcpu_hot)
		count = ((const struct pcpu_hot *)bpf_this_cpu_ptr(&pcpu_hot))->preempt_count;
	return count & IN_INTERRUPT;
}

/* The slot that it was given; somebody else's by now if the tgid is another. */
static __always_inline struct rein_bpf_client *client_of(const struct thread *t)
{
	return &client[t->slot & (REIN_BPF_CLIENTS - 1)];
}

static __always_inline struct thread *row_of(const struct task_struct *task)
{
	return &threads[(uint32_t)task->pid % THREADS];
}

/* Of a client: its row from now on; else NULL. */
static __always_inline struct thread *enrol(const struct task_struct *task)
{
	uint32_t tgid = (uint32_t)task->tgid;
	struct thread *t = row_of(task);
	if (tgid && t->pid == (uint32_t)task->pid && client_of(t)->tgid == tgid)
		return t;
	uint32_t *slot = tgid ? bpf_map_lookup_elem(&slots, &tgid) : NULL;
	if (!slot)
		return NULL;
	t->pid = (uint32_t)task->pid;
	t->woken_ns = 0;
	t->slot = *slot;
	return t;
}

/* For the fair classes only: the scheduler does not count a stretch of the others'. */
static __always_inline bool is_fair(const struct task_struct *task)
{
	return task->policy == 0 || task->policy == 3 || task->policy == 5;
}

/* Returns the time, 0 if it did not ask: that is what costs most here. */
static __always_inline uint64_t remember(struct task_struct *prev)
{
	uint64_t ran_ns = prev->se.sum_exec_runtime - prev->se.prev_sum_exec_runtime;
	struct runs *all = ran_ns >= LONG_NS && is_fair(prev) && prev->pid ? runs_here() : NULL;
	if (!all)
		return 0;
	struct run *r = &all->run[all->next++ % RUNS];
	r->end_ns = bpf_ktime_get_ns();
	r->ran_ns = ran_ns;
	r->tgid = (uint32_t)prev->tgid;
	return r->end_ns;
}

/* The same. */
static __always_inline uint64_t leaves(struct task_struct *prev, bool preempted, uint64_t now_ns)
{
	struct thread *t = marks[(uint32_t)prev->tgid % REIN_BPF_MARKS] ? enrol(prev) : NULL;
	if (!t)
		return now_ns;
	struct rein_bpf_client *c = client_of(t);
	uint32_t state = prev->__state;
	t->slept = !preempted && state;
	now_ns = now_ns ? now_ns : bpf_ktime_get_ns();
	t->begin_ns = state & TASK_DEAD ? 0 : now_ns;
	if (!c->doing ||
	    bpf_probe_read_user(&t->doing, sizeof(t->doing),
	                        (const void *)(thread_pointer(prev) + (unsigned long)c->doing)))
		t->doing = (struct rein_doing){0};
	return now_ns;
}

/* A client that has had its share loses records, and nobody else's. */
static __always_inline bool has_share(struct rein_bpf_client *c, uint64_t now_ns)
{
	if (now_ns - c->since_ns >= REIN_BPF_SHARE_NS) {
		c->since_ns = now_ns;
		c->n = 0;
	}
	return c->n++ < REIN_BPF_SHARE;
}

static __always_inline uint32_t number_in_own_namespace(struct task_struct *task)
{
	struct pid *pid = task->thread_pid;
	unsigned int level = pid ? pid->level : 0;
	uint32_t number = (uint32_t)task->pid;
	if (level)
		bpf_probe_read_kernel(&number, sizeof(number),
		                      (const char *)pid + bpf_core_field_offset(pid->numbers) +
		                          level * bpf_core_type_size(struct upid));
	return number;
}

/* Who was about to sleep can be woken on another CPU a moment before we see it go. */
static __always_inline uint64_t runnable_since(const struct thread *t, uint64_t now_ns)
{
	if (!t->slept || (t->woken_ns && t->woken_ns < t->begin_ns))
		return t->begin_ns;
	return t->woken_ns ? t->woken_ns : now_ns;
}

/* How much of the time since then a stretch was. */
static __always_inline uint64_t part_since(const struct run *r, uint64_t since_ns)
{
	uint64_t after_ns = r->end_ns > since_ns ? r->end_ns - since_ns : 0;
	return r->ran_ns < after_ns ? r->ran_ns : after_ns;
}

/* Who had the CPU for longest since then; 0: nobody for long. */
static __always_inline uint32_t longest_since(const struct runs *all, uint64_t since_ns)
{
	uint64_t who = 0, longest_ns = 0;
	for (unsigned i = 0; i < RUNS; i++) {
		uint64_t part_ns = part_since(&all->run[i], since_ns);
		who = part_ns > longest_ns ? all->run[i].tgid : who;
		longest_ns = part_ns > longest_ns ? part_ns : longest_ns;
	}
	return (uint32_t)who;
}

/* Who had the CPU while the thread waited for it. */
static __always_inline void blame(struct rein_bpf_off *off, struct task_struct *before,
                                  uint64_t since_ns)
{
	const struct runs *all = runs_here();
	uint32_t longest = all ? longest_since(all, since_ns) : 0;
	uint32_t last = before->pid ? (uint32_t)before->tgid : 0;
	off->before_tgid = longest ? longest : last;
	off->before_comm[0] = 0;
	if (off->before_tgid == last)
		bpf_probe_read_kernel(off->before_comm, sizeof(off->before_comm),
		                      before->group_leader->comm);
}

static __always_inline void record(struct task_struct *task, struct task_struct *before,
                                   const struct thread *t, struct rein_bpf_client *c,
                                   uint64_t now_ns)
{
	struct rein_bpf_off *off =
	    has_share(c, now_ns) ? bpf_ringbuf_reserve(&ring, sizeof(*off), 0) : NULL;
	if (!off) {
		__sync_fetch_and_add(&c->lost, 1);
		return;
	}
	bool woken = t->slept && t->woken_ns;
	off->begin_ns = t->begin_ns;
	off->end_ns = now_ns;
	off->runnable_ns = t->slept ? runnable_since(t, now_ns) : 0;
	off->doing = t->doing;
	off->client = c->id;
	off->tgid = c->tgid;
	off->thread = number_in_own_namespace(task);
	off->waker = woken ? t->waker : 0;
	off->waker_tgid = woken ? t->waker_tgid : 0;
	off->cpu = bpf_get_smp_processor_id();
	blame(off, before, runnable_since(t, now_ns));
	bpf_ringbuf_submit(off, BPF_RB_NO_WAKEUP);
}

static __always_inline void enters(struct task_struct *next, struct task_struct *prev,
                                   uint64_t now_ns)
{
	struct thread *t = row_of(next);
	if (t->pid != (uint32_t)next->pid || !t->begin_ns)
		return;
	struct rein_bpf_client *c = client_of(t);
	now_ns = now_ns ? now_ns : bpf_ktime_get_ns();
	bool waited = now_ns - runnable_since(t, now_ns) >= REIN_BPF_RUNNABLE_NS;
	bool busy = t->doing.phase && now_ns - t->begin_ns >= REIN_BPF_OFF_NS;
	if ((waited || busy) && c->tgid == (uint32_t)next->tgid)
		record(next, prev, t, c, now_ns);
	t->begin_ns = t->woken_ns = 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(rein_switch, bool preempted, struct task_struct *prev, struct task_struct *next)
{
	enters(next, prev, leaves(prev, preempted, remember(prev)));
	return 0;
}

static __always_inline int woken(struct task_struct *task, bool known)
{
	struct thread *t = row_of(task);
	if (t->pid != (uint32_t)task->pid)
		return 0;
	uint64_t who = known ? bpf_get_current_pid_tgid() : 0;
	t->woken_ns = bpf_ktime_get_ns();
	t->waker = (uint32_t)who;
	t->waker_tgid = (uint32_t)(who >> 32);
	return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(rein_waking, struct task_struct *task)
{
	return woken(task, !in_interrupt());
}

/* For kernels that do not tell where their variables are (no CONFIG_KALLSYMS_ALL): there an
 * interrupt's wake-ups are put down to whom it interrupted. */
SEC("tp_btf/sched_waking")
int BPF_PROG(rein_waking_any, struct task_struct *task)
{
	return woken(task, true);
}
