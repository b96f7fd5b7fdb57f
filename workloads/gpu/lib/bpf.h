// SPDX-License-Identifier: Apache-2.0
/*
 * bpf.h: eBPF without libbpf: the bpf(2) calls, programs of a few hand-written instructions, and
 * attaching to functions of this program. For probes that ask what the kernel allows; the numbers
 * are those of the kernel's <linux/bpf.h>, written out here because that of an older distribution
 * lacks the newer ones.
 *
 * All return a descriptor or 0, or -errno. One thread.
 */
#ifndef WORKLOADS_GPU_LIB_BPF_H
#define WORKLOADS_GPU_LIB_BPF_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WL_BPF_INSNS 48
#define WL_BPF_WHY 192

/* Attach types, map types and helpers that are newer than some headers. */
#define WL_BPF_ATTACH_RAW_TP 23
#define WL_BPF_ATTACH_FENTRY 24
#define WL_BPF_ATTACH_FEXIT 25
#define WL_BPF_ATTACH_LSM 27
#define WL_BPF_ATTACH_UPROBE_MULTI 48 /* Linux 6.6 */
#define WL_BPF_MAP_RINGBUF 27
#define WL_BPF_MAP_TASK_STORAGE 29
#define WL_BPF_MAP_USER_RINGBUF 31 /* Linux 6.1 */

/* A program. */
struct wl_bpf {
	uint32_t type, attach_type;
	int btf_id; /* 0: none */
	size_t n;
	struct bpf_insn insn[WL_BPF_INSNS];
	char why[WL_BPF_WHY]; /* after a refusal: the verifier's last line, or "" */
};

void wl_bpf_emit(struct wl_bpf *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off,
                 int32_t imm);
/* Two instructions: dst = value; with src BPF_PSEUDO_MAP_FD or _MAP_VALUE the map's descriptor. */
void wl_bpf_emit_wide(struct wl_bpf *p, uint8_t dst, uint8_t src, uint64_t value);
/* The counter (element 0 of an array of u64) goes up by one; then return 0. */
void wl_bpf_emit_count(struct wl_bpf *p, int map);
/* return value */
void wl_bpf_emit_return(struct wl_bpf *p, int32_t value);

int wl_bpf_load(struct wl_bpf *p);
int wl_bpf_map(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t entries);
/* A map with task-local storage of a u64; needs a little BTF of its own, which it makes. */
int wl_bpf_map_task_storage(void);
/* An array of one u64, and its value. */
int wl_bpf_counter(void);
uint64_t wl_bpf_count(int map);

/* Attaching: a descriptor that detaches when it is closed. */
int wl_bpf_attach_raw(int prog, const char *tracepoint); /* NULL: where its BTF id says */
int wl_bpf_attach_uprobe_multi(int prog, const void *function);
/* event: "uprobe" or "kprobe". function: its address in this program, or for kprobes the symbol's
 * name. semaphore: a counter in this program's data that the kernel keeps, or NULL. */
struct wl_bpf_probe {
	const char *event;
	const void *function;
	bool at_return;
	const uint16_t *semaphore;
};
int wl_bpf_attach_probe(int prog, const struct wl_bpf_probe *probe);
/* Samples this thread's CPU time. */
int wl_bpf_attach_sampling(int prog, uint64_t period_ns);
/* A tracepoint by its number in tracefs. */
int wl_bpf_attach_tracepoint(int prog, int id);

/* Functions to probe, each beginning with another instruction: some can be emulated by the kernel,
 * others must be single-stepped, which costs far more in a virtual machine. */
struct wl_bpf_target {
	const char *name; /* part of a fact's id */
	const char *what;
	long (*call)(long);
};
extern const struct wl_bpf_target wl_bpf_targets[];
extern const size_t wl_bpf_n_targets;

#endif
