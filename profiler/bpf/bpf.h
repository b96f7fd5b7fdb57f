// SPDX-License-Identifier: Apache-2.0
/*
 * bpf.h: what the kernel's scheduler, and the driver library of processes without the shim, tell
 * the observer: BPF programs, their loading and what comes of them, as records (../recording.h).
 *
 * Two sets of programs. The scheduler's (sched.bpf.c) is there from rein_bpf_open() to
 * rein_bpf_close(). The outsiders' (outsider.bpf.c) is loaded while somebody asks for it, because
 * others pay: each system call of the machine some 0.1 µs, each probed call what _cost_ns() says.
 * Neither needs fentry, LSM, tracefs or a BPF file system. What is not loaded costs nothing.
 *
 * Rights: root, or CAP_BPF and CAP_PERFMON; the outsiders' programs need root, to open other
 * processes' libraries, and Linux 6.6 (uprobe_multi). And the kernel's description of itself
 * (/sys/kernel/btf/vmlinux). What is missing is said in one line and nothing else changes.
 *
 * What is read from clients, 16 bytes at the address that they tell (common/doing.h), is read by a
 * helper that cannot fault, in that client's own memory, and bounds-checked: a client can lie about
 * itself. A client's records are limited (shared.h), so that it cannot crowd out others'.
 *
 * Threads: one, the observer's. Without libbpf at build time none.c stands in, and says so.
 */
#ifndef REIN_BPF_H
#define REIN_BPF_H

#include <sys/types.h>

#include "../recording.h"
#include "shared.h"

struct rein_bpf;

#define REIN_BPF_NAMES 2u /* processes that one record names */
struct rein_bpf_named {
	uint32_t pid;             /* 0: none */
	char comm[REIN_BPF_COMM]; /* "": not known, /proc may tell */
};

struct rein_bpf_sink {
	void (*record)(void *arg, const struct rein_trace_record *r,
	               const struct rein_bpf_named names[REIN_BPF_NAMES]);
	void *arg;
};

/* 0, or -errno with one line in `why`. */
REIN_MUST_CHECK int rein_bpf_open(struct rein_bpf **out, char *why, size_t why_len);
void rein_bpf_close(struct rein_bpf *b); /* takes tens of milliseconds; NULL: nothing */

/* A client, by its PID as the daemon sees it. Its slot, or -errno: its threads are not watched. */
REIN_MUST_CHECK int rein_bpf_join(struct rein_bpf *b, pid_t pid, uint32_t id);
void rein_bpf_leave(struct rein_bpf *b, int slot);
/* Where its threads say what they do, as it told; whatever that is. */
void rein_bpf_doing(struct rein_bpf *b, int slot, int64_t doing);
/* Records of it that had no room, since this was last asked. */
uint64_t rein_bpf_lost(struct rein_bpf *b, int slot);

/* Outsiders are looked at, or no more. 0, or -errno with one line in `why`. */
REIN_MUST_CHECK int rein_bpf_outsiders(struct rein_bpf *b, bool on, char *why, size_t why_len);
/* Processes whose driver library is probed, and what a call costs them; 0: not measured. */
unsigned rein_bpf_probed(const struct rein_bpf *b);
unsigned rein_bpf_cost_ns(const struct rein_bpf *b);

/* What has come since it was last asked; a bounded number of records. */
void rein_bpf_take(struct rein_bpf *b, const struct rein_bpf_sink *sink, uint64_t now_ns);

/* REIN_SEES_*. */
uint32_t rein_bpf_sees(const struct rein_bpf *b);

#endif
