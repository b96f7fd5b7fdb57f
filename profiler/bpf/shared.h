// SPDX-License-Identifier: Apache-2.0
/*
 * shared.h: what the BPF programs and their loader have in common. Fixed-width types only: both
 * sides compile it, for two machines.
 */
#ifndef REIN_BPF_SHARED_H
#define REIN_BPF_SHARED_H

#include <stdint.h>

#include "../../common/doing.h"

#define REIN_BPF_CLIENTS 1024u /* as many as the daemon takes; power of two */
#define REIN_BPF_RING_BYTES (512u << 10)
#define REIN_BPF_OUTSIDERS 256u
#define REIN_BPF_MARKS 4096u
#define REIN_BPF_MAJORS 4u
#define REIN_BPF_COMM 16u
#define REIN_BPF_CPUS 1024u /* power of two; of more, two are taken for one */

/* A stretch off the CPU is worth a record if the thread was runnable for so long, or, while the
 * shim was doing something, if all of it took so long: a driver that spins yields a million times.
 */
#define REIN_BPF_RUNNABLE_NS 20000u
#define REIN_BPF_OFF_NS 10000u
/* And a client has no more of them than so many in so long: the ring is everybody's. */
#define REIN_BPF_SHARE 256u
#define REIN_BPF_SHARE_NS 10000000u

/* One client, in a slot. The loader writes all but `lost` and what follows it. */
struct rein_bpf_client {
	uint32_t tgid; /* 0: the slot is free */
	uint32_t id;
	int64_t doing; /* from the thread pointer; the client says so: 0, or anything */
	uint64_t lost; /* records that had no room */
	uint64_t since_ns;
	uint32_t n; /* records since then */
	uint32_t pad;
};

/* One stretch off the CPU of one thread of a client. */
struct rein_bpf_off {
	uint64_t begin_ns, end_ns;
	uint64_t runnable_ns; /* 0: from the beginning */
	struct rein_doing doing;
	uint32_t client;            /* its id */
	uint32_t tgid, thread;      /* thread: as its own process sees it */
	uint32_t waker, waker_tgid; /* 0: unknown */
	uint32_t before_tgid;       /* had the CPU meanwhile; 0: nobody */
	uint32_t before_part;       /* for so many 255ths of that time */
	uint32_t cpu;
	char before_comm[REIN_BPF_COMM]; /* "": not known */
};

/* As enum rein_trace_outsider (recording.h). */
enum rein_bpf_what {
	REIN_BPF_LAUNCH = 1,
	REIN_BPF_SYNC,
	REIN_BPF_IOCTL,
	REIN_BPF_EXIT,
};

/* What a process without the shim did since it was last asked. */
struct rein_bpf_outsider_key {
	uint32_t tgid;
	uint32_t what; /* enum rein_bpf_what */
};

struct rein_bpf_outsider {
	uint64_t begin_ns, end_ns, count;
	char comm[REIN_BPF_COMM];
};

#endif
