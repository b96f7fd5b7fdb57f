// SPDX-License-Identifier: Apache-2.0
/*
 * outsider.bpf.c: what processes without the shim do with the GPU: launches and synchronisations,
 * by probes in the driver library (rein_call; only of processes that the loader chose), system
 * calls to the driver's devices (rein_ioctl), and when such a process ends or becomes another
 * program.
 *
 * Everything is counted, by process and kind, with the times of the first and the last; the loader
 * takes the counts away every few milliseconds. A process is known here from its first count on.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "shared.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#if defined(__TARGET_ARCH_x86)
#define NR_IOCTL 16
#define FIRST_ARGUMENT(regs) ((regs)->di)
#else
#define NR_IOCTL 29
#define FIRST_ARGUMENT(regs) ((regs)->regs[0])
#endif
#define MINOR_BITS 20 /* of a device number inside the kernel: include/linux/kdev_t.h */
#define S_IFMT 0170000
#define S_IFCHR 0020000

/* Set before loading: the driver's major numbers, 0: none. */
const volatile uint32_t majors[REIN_BPF_MAJORS];

uint64_t lost; /* counts that had no room */

struct {
	__uint(type, BPF_MAP_TYPE_HASH); /* sched.bpf.c's */
	__uint(max_entries, REIN_BPF_CLIENTS);
	__type(key, uint32_t);
	__type(value, uint32_t);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REIN_BPF_OUTSIDERS);
	__type(key, struct rein_bpf_outsider_key);
	__type(value, struct rein_bpf_outsider);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH); /* by tgid: those that were ever counted */
	__uint(max_entries, REIN_BPF_OUTSIDERS);
	__type(key, uint32_t);
	__type(value, uint8_t);
} known SEC(".maps");

static __always_inline bool count(uint32_t tgid, uint32_t what)
{
	struct rein_bpf_outsider_key key = {.tgid = tgid, .what = what};
	uint64_t now_ns = bpf_ktime_get_ns();
	struct rein_bpf_outsider *o = bpf_map_lookup_elem(&counts, &key);
	if (o) {
		__sync_fetch_and_add(&o->count, 1);
		o->end_ns = now_ns;
		return true;
	}
	struct rein_bpf_outsider fresh = {.begin_ns = now_ns, .end_ns = now_ns, .count = 1};
	struct task_struct *leader =
	    ((struct task_struct *)bpf_get_current_task_btf())->group_leader;
	bpf_probe_read_kernel(fresh.comm, sizeof(fresh.comm), leader->comm);
	if (!bpf_map_update_elem(&counts, &key, &fresh, BPF_NOEXIST))
		return true;
	__sync_fetch_and_add(&lost, 1);
	return false;
}

static __always_inline void did(uint32_t tgid, uint32_t what)
{
	uint8_t yes = 1;
	if (count(tgid, what) && !bpf_map_lookup_elem(&known, &tgid))
		bpf_map_update_elem(&known, &tgid, &yes, BPF_ANY);
}

static __always_inline bool is_drivers(struct task_struct *task, unsigned long fd)
{
	struct fdtable *table = task->files ? task->files->fdt : NULL;
	struct file *file = NULL;
	if (!table || fd >= table->max_fds)
		return false;
	bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	uint16_t mode = BPF_CORE_READ(file, f_inode, i_mode);
	uint32_t major = BPF_CORE_READ(file, f_inode, i_rdev) >> MINOR_BITS;
	bool is = false;
	for (unsigned i = 0; i < REIN_BPF_MAJORS; i++)
		is |= majors[i] && majors[i] == major;
	return is && (mode & S_IFMT) == S_IFCHR;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(rein_ioctl, struct pt_regs *regs, long number)
{
	if (number != NR_IOCTL)
		return 0;
	uint32_t tgid = (uint32_t)(bpf_get_current_pid_tgid() >> 32);
	if (bpf_map_lookup_elem(&slots, &tgid))
		return 0;
	if (is_drivers(bpf_get_current_task_btf(), (uint32_t)FIRST_ARGUMENT(regs)))
		did(tgid, REIN_BPF_IOCTL);
	return 0;
}

/* The cookie is what the function does. */
SEC("uprobe")
int rein_call(void *ctx)
{
	did((uint32_t)(bpf_get_current_pid_tgid() >> 32), (uint32_t)bpf_get_attach_cookie(ctx));
	return 0;
}

static __always_inline void gone(uint32_t tgid)
{
	if (!bpf_map_delete_elem(&known, &tgid))
		count(tgid, REIN_BPF_EXIT);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(rein_exit, struct task_struct *task)
{
	if (!task->signal->live.counter)
		gone((uint32_t)task->tgid);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(rein_exec, struct task_struct *task)
{
	gone((uint32_t)task->tgid);
	return 0;
}
