// SPDX-License-Identifier: Apache-2.0
/*
 * vmlinux.h: the kernel's structures, as far as our BPF programs look into them. Only names and
 * types count: where a field really is the loader takes from the running kernel's own description
 * (BTF), field by field. So a build machine needs neither BTF nor kernel headers. Fields as in
 * Linux 5.14 to 6.18 (include/linux/sched.h, pid.h, fs.h, fdtable.h); what changed is said where it
 * is.
 */
#ifndef REIN_BPF_VMLINUX_H
#define REIN_BPF_VMLINUX_H

#include <stdbool.h>
#include <stdint.h>

typedef uint8_t __u8;
typedef uint16_t __u16;
typedef uint32_t __u32;
typedef uint64_t __u64;
typedef int8_t __s8;
typedef int16_t __s16;
typedef int32_t __s32;
typedef int64_t __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum { BPF_ANY = 0, BPF_NOEXIST = 1 };
enum { BPF_RB_NO_WAKEUP = 1 };
enum bpf_map_type_used {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_RINGBUF = 27,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pid_namespace;

struct upid {
	int nr;
};

struct pid {
	unsigned int level;
	struct upid numbers[1]; /* level + 1 of them */
};

struct signal_struct {
	struct {
		int counter;
	} live; /* threads that have not ended */
};

/* The low bits of its address say how it is held; see outsider.bpf.c. */
struct inode {
	uint16_t i_mode;
	uint32_t i_rdev;
};

struct file {
	struct inode *f_inode;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct thread_struct {
#if defined(__TARGET_ARCH_x86)
	unsigned long fsbase;
#elif defined(__TARGET_ARCH_arm64)
	struct {
		unsigned long tp_value;
	} uw;
#endif
};

struct sched_entity { /* what the fair class knows of a task; others leave the second one alone */
	uint64_t sum_exec_runtime;
	uint64_t prev_sum_exec_runtime; /* when it got the CPU */
};

struct thread_info {
	uint32_t cpu;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int cpu; /* before Linux 5.16: there thread_info has none */
	unsigned int __state;
	int pid, tgid;
	unsigned int policy;
	struct sched_entity se;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct signal_struct *signal;
	struct files_struct *files;
	char comm[16];
	struct thread_struct thread;
};

struct pt_regs {
#if defined(__TARGET_ARCH_x86)
	unsigned long di, si;
#elif defined(__TARGET_ARCH_arm64)
	unsigned long regs[31];
#endif
};

struct pcpu_hot { /* Linux 6.3 to 6.13 */
	int preempt_count;
};

#pragma clang attribute pop

struct linux_binprm;

/* Of a thread that is not running, or is the one that asks: x86's FS base is the thread pointer,
 * set at its creation and saved at each switch. */
static inline unsigned long thread_pointer(const struct task_struct *t)
{
#if defined(__TARGET_ARCH_x86)
	return t->thread.fsbase;
#elif defined(__TARGET_ARCH_arm64)
	return t->thread.uw.tp_value;
#else
	return 0;
#endif
}

#endif
