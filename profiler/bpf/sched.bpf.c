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
 * microseconds, between whose turns somebody else had it for milliseconds. So while a thread waits
 * for a CPU, who has that CPU is counted at each of its switches (struct cpu): from the moment when
 * the thread could run, for the first of those that wait for it; it takes its counts along when it
 * is moved to another CPU meanwhile. Whoever comes to wait beside it has to do with the CPU's last
 * longer stretches (the scheduler has counted for how long anyway), as far as they are within its
 * wait. Where nobody waits that is one look at `waiter`.
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

/* A process had a CPU for so long, and until then; all 0: nobody did. 0 is the idle task's. */
struct turn {
	uint64_t end_ns, ran_ns;
	uint32_t tgid;
	char comm[REIN_BPF_COMM];
};

#define TURNS 8u       /* power of two */
#define LONG_NS 50000u /* the last stretches of so long and more are kept */
/* A name costs as much as all the rest: who had the CPU for less goes by his number. */
#define NAMED_NS 10000u
#define STALE_NS 1000000000ll /* a wait that has not ended: whoever comes next is counted for */
#define ABOUT_NS 100000ll     /* a thread that was woken longer ago ran on, and sleeps now */

/* A cache line of its own for each: other CPUs write only where somebody was woken or moved. */
static struct cpu {
	uint32_t waiter; /* the thread for which `during` counts; 0: for none */
	uint32_t n;
	uint32_t tgid; /* who has it now */
	uint64_t since_ns, counted_ns, all_ns;
	struct turn during[TURNS]; /* so many: of each process, all it had since then */
	uint32_t next;
	struct turn last[TURNS]; /* and the last long stretches */
} __attribute__((aligned(64))) cpus[REIN_BPF_CPUS];

static __always_inline struct cpu *cpu_at(uint32_t number)
{
	return &cpus[number & (REIN_BPF_CPUS - 1)];
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

/* ---------------------------------------------------------------- who has a CPU */

static __always_inline void name(struct turn *t, const struct task_struct *task)
{
	bpf_probe_read_kernel(t->comm, sizeof(t->comm), task->group_leader->comm);
}

/* A row of its own while there are enough; else that of who had least until now. */
static __always_inline struct turn *row_for(struct cpu *c, uint32_t tgid)
{
	uint32_t n = c->n, least = 0;
	for (uint32_t i = 0; i < TURNS && i < n; i++) {
		if (c->during[i].tgid == tgid)
			return &c->during[i];
		least = c->during[i].ran_ns < c->during[least & (TURNS - 1)].ran_ns ? i : least;
	}
	struct turn *t = &c->during[(n < TURNS ? n : least) & (TURNS - 1)];
	c->n = n < TURNS ? n + 1 : n;
	t->ran_ns = 0;
	t->tgid = tgid;
	t->comm[0] = 0;
	return t;
}

/* Somebody waits for this CPU, which that process had until now. NULL: its clock says nothing new
 * (two CPUs' may differ a little). */
static __always_inline struct turn *count_until(struct cpu *c, uint32_t tgid, uint64_t now_ns)
{
	uint64_t since_ns = c->counted_ns;
	if (now_ns <= since_ns)
		return NULL;
	struct turn *t = row_for(c, tgid);
	t->ran_ns += now_ns - since_ns;
	c->all_ns += now_ns - since_ns;
	c->counted_ns = now_ns;
	return t;
}

static __always_inline void count_turn(struct cpu *c, const struct task_struct *prev,
                                       uint64_t now_ns)
{
	struct turn *t = count_until(c, (uint32_t)prev->tgid, now_ns);
	if (t && !t->comm[0] && t->ran_ns >= NAMED_NS)
		name(t, prev);
}

/* It waits for that CPU from now on; who came first is counted for. False: that is another one. */
static __always_inline bool begin_wait(struct cpu *c, const struct task_struct *task,
                                       uint64_t now_ns)
{
	uint32_t first = c->waiter, pid = (uint32_t)task->pid;
	/* another CPU's clock may be a little ahead */
	if (first && first != pid && (int64_t)(now_ns - c->since_ns) < STALE_NS)
		return false;
	c->n = 0;
	c->all_ns = 0;
	c->since_ns = c->counted_ns = now_ns;
	c->waiter = pid;
	return true;
}

static __always_inline void done_waiting(struct cpu *c, const struct task_struct *task)
{
	uint32_t waiter = c->waiter;
	if (waiter && waiter == (uint32_t)task->pid)
		c->waiter = 0;
}

/* For the fair classes only: the scheduler does not count a stretch of the others'. */
static __always_inline bool is_fair(const struct task_struct *task)
{
	return task->policy == 0 || task->policy == 3 || task->policy == 5;
}

/* Returns the time, 0 if it did not ask: that is what costs most here. */
static __always_inline uint64_t remember(struct cpu *c, struct task_struct *prev)
{
	uint64_t ran_ns = prev->se.sum_exec_runtime - prev->se.prev_sum_exec_runtime, now_ns = 0;
	bool is_long = ran_ns >= LONG_NS && is_fair(prev) && prev->pid;
	if (is_long || c->waiter)
		now_ns = bpf_ktime_get_ns();
	if (c->waiter)
		count_turn(c, prev, now_ns);
	if (!is_long)
		return now_ns;
	struct turn *t = &c->last[c->next++ & (TURNS - 1)];
	t->end_ns = now_ns;
	t->ran_ns = ran_ns;
	t->tgid = (uint32_t)prev->tgid;
	name(t, prev);
	return now_ns;
}

/* ---------------------------------------------------------------- a thread leaves its CPU */

/* Left behind, it could run on: it was put aside, or woken while it was about to sleep. */
static __always_inline bool is_waiting(const struct thread *t)
{
	return !t->slept || (t->woken_ns && (int64_t)(t->begin_ns - t->woken_ns) < ABOUT_NS);
}

/* Returns the time, as remember() does. */
static __always_inline uint64_t leaves(struct cpu *cpu, struct task_struct *prev, bool preempted,
                                       uint64_t now_ns)
{
	struct thread *t = marks[(uint32_t)prev->tgid % REIN_BPF_MARKS] ? enrol(prev) : NULL;
	if (!t)
		return now_ns;
	struct rein_bpf_client *c = client_of(t);
	uint32_t state = prev->__state;
	t->slept = !preempted && state;
	now_ns = now_ns ? now_ns : bpf_ktime_get_ns();
	t->begin_ns = state & TASK_DEAD ? 0 : now_ns;
	if (t->begin_ns && is_waiting(t))
		(void)begin_wait(cpu, prev, now_ns);
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
static __always_inline uint64_t part_since(const struct turn *t, uint64_t since_ns)
{
	uint64_t after_ns = t->end_ns > since_ns ? t->end_ns - since_ns : 0;
	return t->ran_ns < after_ns ? t->ran_ns : after_ns;
}

struct most { /* who had a CPU for longest; NULL: nobody for long */
	const struct turn *turn;
	uint64_t ns, of_ns;
};

/* Since then, by its long stretches. */
static __always_inline struct most longest_since(const struct cpu *c, uint64_t since_ns)
{
	struct most m = {0};
	for (unsigned i = 0; i < TURNS; i++) {
		uint64_t sum_ns = 0;
		for (unsigned k = 0; k < TURNS; k++)
			sum_ns += c->last[k].tgid == c->last[i].tgid
			              ? part_since(&c->last[k], since_ns)
			              : 0;
		m.of_ns += part_since(&c->last[i], since_ns);
		m.turn = sum_ns > m.ns ? &c->last[i] : m.turn;
		m.ns = sum_ns > m.ns ? sum_ns : m.ns;
	}
	return m;
}

/* The same by what was counted. */
static __always_inline struct most longest_counted(const struct cpu *c)
{
	struct most m = {.of_ns = c->all_ns};
	for (unsigned i = 0; i < TURNS && i < c->n; i++) {
		m.turn = c->during[i].ran_ns > m.ns ? &c->during[i] : m.turn;
		m.ns = c->during[i].ran_ns > m.ns ? c->during[i].ran_ns : m.ns;
	}
	return m;
}

/* Who had the CPU while the thread waited for it. */
static __always_inline void blame(struct rein_bpf_off *off, const struct cpu *c,
                                  struct task_struct *task, struct task_struct *before,
                                  uint64_t since_ns)
{
	struct most m =
	    c->waiter == (uint32_t)task->pid ? longest_counted(c) : longest_since(c, since_ns);
	const struct turn *t = m.turn;
	uint32_t last = (uint32_t)before->tgid;
	barrier_var(last); /* else one load for both, which the verifier does not take */
	off->before_tgid = t ? t->tgid : last;
	off->before_part = m.of_ns ? m.ns * 255 / m.of_ns : 255;
	if (!off->before_tgid)
		off->before_comm[0] = 0;
	else if (t)
		__builtin_memcpy(off->before_comm, t->comm, sizeof(off->before_comm));
	else
		bpf_probe_read_kernel(off->before_comm, sizeof(off->before_comm),
		                      before->group_leader->comm);
}

static __always_inline void record(const struct cpu *cpu, struct task_struct *task,
                                   struct task_struct *before, const struct thread *t,
                                   struct rein_bpf_client *c, uint64_t now_ns)
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
	blame(off, cpu, task, before, runnable_since(t, now_ns));
	bpf_ringbuf_submit(off, BPF_RB_NO_WAKEUP);
}

static __always_inline void enters(struct cpu *cpu, struct task_struct *next,
                                   struct task_struct *prev, uint64_t now_ns)
{
	struct thread *t = row_of(next);
	if (t->pid != (uint32_t)next->pid || !t->begin_ns)
		return;
	struct rein_bpf_client *c = client_of(t);
	now_ns = now_ns ? now_ns : bpf_ktime_get_ns();
	bool waited = now_ns - runnable_since(t, now_ns) >= REIN_BPF_RUNNABLE_NS;
	bool busy = t->doing.phase && now_ns - t->begin_ns >= REIN_BPF_OFF_NS;
	if ((waited || busy) && c->tgid == (uint32_t)next->tgid)
		record(cpu, next, prev, t, c, now_ns);
	t->begin_ns = t->woken_ns = 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(rein_switch, bool preempted, struct task_struct *prev, struct task_struct *next)
{
	struct cpu *c = cpu_at(bpf_get_smp_processor_id());
	uint64_t now_ns = remember(c, prev);
	done_waiting(c, prev); /* it was woken while it ran */
	enters(c, next, prev, leaves(c, prev, preempted, now_ns));
	done_waiting(c, next);
	c->tgid = (uint32_t)next->tgid;
	return 0;
}

/* ---------------------------------------------------------------- it is woken, or moved */

static __always_inline uint32_t cpu_of(struct task_struct *task)
{
	return bpf_core_field_exists(task->thread_info.cpu) ? task->thread_info.cpu : task->cpu;
}

/* It may be put on another CPU before it waits: then it is moved. Who was put aside on its way to
 * sleep waits already. */
static __always_inline int woken(struct task_struct *task, bool known)
{
	struct thread *t = row_of(task);
	if (t->pid != (uint32_t)task->pid)
		return 0;
	uint64_t who = known ? bpf_get_current_pid_tgid() : 0;
	t->woken_ns = bpf_ktime_get_ns();
	t->waker = (uint32_t)who;
	t->waker_tgid = (uint32_t)(who >> 32);
	if (t->begin_ns && t->slept)
		(void)begin_wait(cpu_at(cpu_of(task)), task, t->woken_ns);
	return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(rein_waking, struct task_struct *task)
{
	return woken(task, !in_interrupt());
}

/* It goes on waiting, for the other CPU, with what was counted on this one: so if it is taken to an
 * idle CPU it is whoever had the busy one that kept it waiting. Sleepers are moved too (since Linux
 * 6.12, which leaves them in the queue for a while). */
SEC("tp_btf/sched_migrate_task")
int BPF_PROG(rein_migrate, struct task_struct *task, int to)
{
	struct thread *t = row_of(task);
	if (t->pid != (uint32_t)task->pid || !t->begin_ns || (t->slept && !t->woken_ns))
		return 0;
	struct cpu *was = cpu_at(cpu_of(task)), *is = cpu_at((uint32_t)to);
	bool counted = was->waiter == (uint32_t)task->pid;
	uint64_t now_ns = bpf_ktime_get_ns();
	if (counted)
		(void)count_until(was, was->tgid, now_ns);
	if (was != is && begin_wait(is, task, now_ns) && counted) {
		__builtin_memcpy(is->during, was->during, sizeof(is->during));
		is->all_ns = was->all_ns;
		is->n = was->n;
	}
	if (was != is)
		done_waiting(was, task);
	return 0;
}

/* For kernels that do not tell where their variables are (no CONFIG_KALLSYMS_ALL): there an
 * interrupt's wake-ups are put down to whom it interrupted. */
SEC("tp_btf/sched_waking")
int BPF_PROG(rein_waking_any, struct task_struct *task)
{
	return woken(task, true);
}
