// SPDX-License-Identifier: Apache-2.0
/*
 * abi.h: the shared memory between one client (librein.so in a CUDA process) and the daemon.
 *
 * Four objects, each a sealed memfd that the daemon makes and passes over the client socket:
 *
 *   board    one per daemon, the same for all clients.   daemon writes, client maps read-only
 *   control  one per client: its verdicts.               daemon writes, client maps read-only
 *   status   one per client: its demand and counters.    client writes, daemon reads
 *   rings    one per client: its event records (ring.h). client writes, daemon reads
 *
 * Versions. `major` changes when a field moves, changes meaning, or a struct changes size; the
 * two sides then refuse each other with one clear line. `minor` grows when a reserved field gets
 * a meaning that an older peer may ignore. Reserved fields and flags are 0 when written and
 * ignored when read.
 *
 * Trust. The daemon bounds-checks whatever it reads from `status`; the client can neither write
 * `board` and `control` nor shrink any of the four (F_SEAL_SHRINK), so no access can fault.
 *
 * Units: suffix _ns = nanoseconds; every time stamp is CLOCK_MONOTONIC of the host.
 * Fields of type rein_a32/rein_a64 are accessed only through common/atomic.h.
 */
#ifndef REIN_COMMON_ABI_H
#define REIN_COMMON_ABI_H

#include <stddef.h>
#include <stdint.h>

#include "atomic.h"
#include "kmodel.h"

#define REIN_ABI_MAGIC 0x6e696572u /* "rein" */
#define REIN_ABI_MAJOR 1
#define REIN_ABI_MINOR 2
#define REIN_ABI_MINOR_RINGS 2 /* from here on a client takes a fifth descriptor: its rings */

#define REIN_PRIO_MAX 99           /* most urgent; 0 is best effort. Higher is more urgent. */
#define REIN_DEVICES_MAX 16        /* devices that one process may declare: its slots */
#define REIN_BOARD_DEVICES_MAX 64  /* devices that one daemon tells apart by UUID */
#define REIN_NAME_LEN 64           /* client name, with its NUL */
#define REIN_CLASS_LEN 32          /* class name, with its NUL */
#define REIN_AREA_ALIGN 65536      /* the largest page size of the machines we run on */
#define REIN_LEASE_NS 100000000ull /* a hold is renewed for this long at a time */

struct rein_abi_header {
	uint32_t magic; /* REIN_ABI_MAGIC; written last by whoever makes the object */
	uint16_t major;
	uint16_t minor;
	uint32_t size; /* of the whole object, bytes */
	uint32_t reserved;
};

/* ---------------------------------------------------------------- board (daemon → all clients) */

struct rein_board_device {
	/*
	 * How many times the set of active clients of this device went from at most one to several
	 * or back: even = at most one client is active, odd = several are. A kernel time measured
	 * between two equal even readings is a sole owner's. daemon: release; client: acquire.
	 */
	rein_a32 owners_gen;
	uint32_t reserved[15];
};

struct rein_board {
	struct rein_abi_header header;
	uint32_t daemon_pid;
	uint32_t instance; /* random, not 0: tells one daemon's run from the next */
	/*
	 * 1: the arbiter sleeps or is about to: whoever changes its demand rings its doorbell.
	 * The doorbell rule: each side stores its own word, then a sequentially consistent fence,
	 * then loads the other's (daemon: asleep then demand; client: demand then asleep).
	 */
	rein_a32 asleep;
	uint32_t reserved[9];
	struct rein_board_device device[REIN_BOARD_DEVICES_MAX];
};

/* -------------------------------------------------------------- control (daemon → one client) */

/*
 * The gate word, also the futex on which a held client waits. A plain 0 is the fast path: no
 * check but the load. Any other value takes the slow path of the shim. All declared slots of a
 * client carry the same word: its devices are gated together.
 */
#define REIN_GATE_OPEN 0u
#define REIN_GATE_CLOSED 1u  /* bit: submit nothing until the bit clears or the lease lapses */
#define REIN_GATE_METERED 2u /* bit: a more urgent client is registered: keep to the backlog */
#define REIN_GATE_TRACED                                                                           \
	4u /* bit, since minor 2: write event records; alone: a short path of its own */

/* how a closed gate is enforced; each includes the ones before it */
enum rein_hold_mode {
	REIN_HOLD_NONE = 0,
	REIN_HOLD_LAUNCH = 1,
	REIN_HOLD_QUEUE = 2,   /* later: wait words in the GPU's front end */
	REIN_HOLD_CONTEXT = 3, /* later: the channel group is taken off the GPU */
};

/*
 * Verdict v1: what one client may do on one of its devices. The daemon writes, the client reads.
 * `gate` and `lease_until_ns` are single atomics; the rest is one consistent reading under `seq`
 * (odd while it is written). Order of a close: lease_until_ns, the rest, then gate (release).
 */
struct rein_verdict {
	rein_a32 gate;
	rein_a32 seq;
	rein_a64 lease_until_ns;   /* a closed gate counts as open from this time on */
	rein_a32 hold_mode;        /* enum rein_hold_mode */
	rein_a32 generation;       /* +1 at each change of the verdict */
	rein_a32 board_device;     /* index into rein_board.device; UINT32_MAX: not known yet */
	rein_a32 backlog_launches; /* unfinished submissions allowed while metered; ≥ 1 */
	rein_a64 backlog_ns;       /* unfinished estimated GPU time allowed while metered */
	rein_a64 point_ns;         /* queue gate: estimated work between points; 0 = none */
	rein_a32 sms;              /* SM slice; 0 = whole device */
	rein_a32 timeslice_us;     /* context gate: time slice; 0 = the driver's */
	rein_a32 holder; /* since minor 2: the client for whose sake it is closed; 0: none */
	uint32_t reserved;
};

#define REIN_CONTROL_NOTIFY_IDLE 1u   /* ring on active → idle too: somebody waits for it */
#define REIN_CONTROL_GATE_IMPLICIT 2u /* allocation, free and module loads pass the gate too */

struct rein_control {
	struct rein_abi_header header;
	uint32_t client_id; /* never 0 */
	rein_a32 flags;     /* REIN_CONTROL_* */
	rein_a32 prio;      /* 0…REIN_PRIO_MAX, as granted */
	rein_a32 linger_us; /* quiet time after which a request counts as over */
	uint32_t reserved[8];
	struct rein_verdict verdict[REIN_DEVICES_MAX]; /* slot = rein_status.device's index */
};

/* --------------------------------------------------------------- status (one client → daemon) */

/*
 * The demand word: bit 0 = active (submitted work is unfinished, a thread waits to submit, or a
 * declared request is open), bit 1 = at least one thread waits at the closed gate, bits 2… count
 * how often it was published.
 */
#define REIN_DEMAND_ACTIVE 1u
#define REIN_DEMAND_WAITING 2u
#define REIN_DEMAND_COUNT 4u

/* What the client declared through include/rein.h or NVTX ranges. */
#define REIN_REQUEST_DECLARED 1u   /* it declares its requests: `requests` counts those, exactly */
#define REIN_REQUEST_EXACT 2u      /* what ends with this active → idle was one: no linger */
#define REIN_REQUEST_BACKGROUND 4u /* what it does now is background work: priority 0 */

struct rein_status_device {
	rein_a32 used;    /* 1: the slot is declared and `uuid` is written (release) */
	uint32_t ordinal; /* the process' own CUDA ordinal, for display only */
	uint8_t uuid[16];
};

struct rein_status {
	struct rein_abi_header header;
	rein_a32 demand;
	/*
	 * Since minor 1. The client writes them before the demand word that they belong to (whose
	 * store releases them); the daemon reads them after it.
	 */
	rein_a32 request_flags; /* REIN_REQUEST_* */
	rein_a64 deadline_ns;   /* the earliest of its open requests; 0: none */
	rein_a64 arrival_ns;    /* of the oldest open request; 0: none is open */
	rein_a32 requests_open; /* declared and not ended yet */
	rein_a32 late;          /* requests that ended after their deadline. Display only */
	/*
	 * Since minor 2: when, held at its gate, it first saw that the GPU had nothing left of what
	 * it was given; for the accounts (daemon/account.c). 0: never, or it does not tell.
	 */
	rein_a64 drained_ns;
	uint32_t reserved0[2];
	struct { /* totals since the client joined; relaxed, for display only */
		rein_a64 submissions; /* work given to the driver */
		rein_a64 requests;    /* idle → active changes, or declared requests */
		rein_a64 gate_waits;  /* threads that waited at a closed gate */
		rein_a64 gate_wait_ns;
		rein_a64 backlog_waits; /* threads that waited for room in the backlog */
		rein_a64 backlog_wait_ns;
		rein_a64 lapses;     /* waits that a lapsed lease or a bounded wait ended */
		rein_a64 heartbeats; /* rises while the client is active: its process runs */
	} total;
	struct rein_status_device device[REIN_DEVICES_MAX];
	struct rein_kmodel kmodel; /* kernel times as this client measured them */
};

static_assert(sizeof(struct rein_abi_header) == 16, "ABI");
static_assert(sizeof(struct rein_verdict) == 64, "ABI: a verdict is one cache line");
static_assert(sizeof(struct rein_board_device) == 64, "ABI");
static_assert(offsetof(struct rein_board, device) == 64, "ABI");
static_assert(offsetof(struct rein_control, verdict) == 64, "ABI");
static_assert(sizeof(struct rein_control) == 64 + 64 * REIN_DEVICES_MAX, "ABI");
static_assert(offsetof(struct rein_status, demand) == 16, "ABI");
static_assert(offsetof(struct rein_status, request_flags) == 20, "ABI");
static_assert(offsetof(struct rein_status, deadline_ns) == 24, "ABI");
static_assert(offsetof(struct rein_status, drained_ns) == 48, "ABI");
static_assert(offsetof(struct rein_status, total) == 64, "ABI");
static_assert(sizeof(struct rein_status_device) == 24, "ABI");
static_assert(offsetof(struct rein_status, device) == 128, "ABI");
static_assert(offsetof(struct rein_status, kmodel) % 64 == 0, "ABI");
static_assert(sizeof(struct rein_control) <= REIN_AREA_ALIGN, "ABI: control fits its area");
static_assert(sizeof(struct rein_board) <= REIN_AREA_ALIGN, "ABI: board fits its area");
static_assert(sizeof(struct rein_status) <= REIN_AREA_ALIGN, "ABI: status fits its area");

#endif
