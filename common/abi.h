// SPDX-License-Identifier: Apache-2.0
/*
 * abi.h: the shared memory between one client (librein.so in a CUDA process) and the daemon.
 *
 * Five objects, each a sealed memfd that the daemon makes and passes over the client socket:
 *
 *   board    one per daemon, the same for all clients.   daemon writes, client maps read-only
 *   control  one per client: its verdicts.               daemon writes, client maps read-only
 *   status   one per client: its demand and counters.    client writes, daemon reads
 *   rings    one per client: its event records (ring.h). client writes, daemon reads
 *   points   one per client: what the GPU waits for.      daemon, client and its GPU write
 *
 * Versions. `major` changes when a field moves, changes meaning, or a struct changes size; the
 * two sides then refuse each other with one clear line. `minor` grows when a reserved field gets
 * a meaning that an older peer may ignore. Reserved fields and flags are 0 when written and
 * ignored when read.
 *
 * Trust. The daemon bounds-checks whatever it reads from `status` and `points`; the client can
 * neither write `board` and `control` nor shrink any of the five (F_SEAL_SHRINK), so no access can
 * fault.
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
#define REIN_ABI_MINOR 5
#define REIN_ABI_MINOR_RINGS 2  /* from here on a client takes a fifth descriptor: its rings */
#define REIN_ABI_MINOR_POINTS 3 /* and a sixth: its points */

#define REIN_PRIO_MAX 99           /* most urgent; 0 is best effort. Higher is more urgent. */
#define REIN_DEVICES_MAX 16        /* devices that one process may declare: its slots */
#define REIN_BOARD_DEVICES_MAX 64  /* devices that one daemon tells apart by UUID */
#define REIN_NAME_LEN 64           /* client name, with its NUL */
#define REIN_CLASS_LEN 32          /* class name, with its NUL */
#define REIN_AREA_ALIGN 65536      /* the largest page size of the machines we run on */
#define REIN_LEASE_NS 100000000ull /* a hold is renewed for this long at a time */
#define REIN_POINT_ROWS 1024       /* streams of one client that have progress of their own */

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
#define REIN_GATE_SLICED 8u /* bit, since minor 4: the verdict's `sms` is in force */

/* how a closed gate is enforced; each includes the ones before it */
enum rein_hold_mode {
	REIN_HOLD_NONE = 0,
	REIN_HOLD_LAUNCH = 1,
	REIN_HOLD_QUEUE = 2,   /* since minor 3: rein_points.open is closed too */
	REIN_HOLD_CONTEXT = 3, /* since minor 3: its channel groups are taken off the GPU */
};

/* The verdict's `sms`: so many SMs, or thousandths of the device's; rounded down by the client. */
#define REIN_SMS_COUNT 0xffffu
#define REIN_SMS_PERMILLE 0x40000000u
#define REIN_SMS_LAST 0x80000000u /* the device's last ones, not its first */

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
	rein_a32 sms;              /* SM slice, REIN_SMS_*; 0 = whole device */
	rein_a32 timeslice_us;     /* its contexts' time slice; 0: the driver's */
	rein_a32 holder; /* since minor 2: the client for whose sake it is closed; 0: none */
	uint32_t reserved;
};

#define REIN_CONTROL_NOTIFY_IDLE 1u /* ring on active → idle too: somebody waits for it */
/* bit, since minor 3: nobody else uses its devices, and nothing was promised: active → idle may be
 * told some milliseconds late, by the way. Who ignores it tells at once. */
#define REIN_CONTROL_IDLE_LATE 4u
#define REIN_CONTROL_GATE_IMPLICIT 2u /* allocation, free and module loads pass the gate too */
/* bit, since minor 5: the true GPU times of its work are wanted, by CUPTI (interpose/agent.h) */
#define REIN_CONTROL_CUPTI 8u

struct rein_control {
	struct rein_abi_header header;
	uint32_t client_id; /* never 0 */
	rein_a32 flags;     /* REIN_CONTROL_* */
	rein_a32 prio;      /* 0…REIN_PRIO_MAX, as granted */
	rein_a32 linger_us; /* quiet time after which a request counts as over */
	/* since minor 3, from the profile of this GPU and driver (daemon/profile.h) */
	rein_a32 context_recipe; /* how the context gate holds a group; 0: it does not */
	rein_a32 point_cost_ns;  /* what a point costs the GPU; 0: not measured */
	uint32_t reserved[6];
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

#define REIN_CAN_QUEUE 1u   /* puts points into its streams when the verdict's point_ns says so */
#define REIN_CAN_CONTEXT 2u /* knows its channel groups and how to hold them */
#define REIN_CAN_SLICE 4u   /* since minor 4: runs its kernels on a part of the SMs */

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
	/* Since minor 3: the gates that it can be held at, besides the launch gate. The daemon uses
	 * no other, and may use fewer. */
	rein_a32 can;    /* REIN_CAN_* */
	rein_a32 points; /* put into its streams so far. Display only */
	struct {         /* totals since the client joined; relaxed, for display only */
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

/* Since minor 5: what became of REIN_CONTROL_CUPTI. */
enum rein_cupti_state {
	REIN_CUPTI_OFF,
	REIN_CUPTI_STARTING,
	REIN_CUPTI_ON,
	REIN_CUPTI_TAKEN,  /* another profiler has CUPTI, or wanted it: off for good */
	REIN_CUPTI_FAILED, /* off for good; the client has said why */
};

/* ------------------------------------------------ points (daemon, client and its GPU, minor 3) */

/*
 * The queue gate. A *point* is [write progress; wait until open & 1] in a stream of the client: the
 * GPU's front end goes no further while `open` is 0, with the queue behind it intact. `open` moves
 * with the gate word: closed after it, opened before it. Cooperative: the client can write all of
 * it, and does when its lease has lapsed or the daemon is gone.
 *
 * The daemon writes `open` only: 1 before it passes the object, and 0 only while the client's
 * status says REIN_CAN_QUEUE and `keep_open` is 0.
 */
struct rein_points {
	struct rein_abi_header header;
	uint32_t reserved0[12];
	_Alignas(64) rein_a32 open; /* bit 0: 1 open, 0 closed; the GPU polls this line */
	uint32_t reserved1[15];
	/* the client writes, the daemon reads */
	_Alignas(64) rein_a32 keep_open; /* threads that would wait for ever if it were closed */
	/* 1: its GPU cannot see `open`; the client copies it to where it can. Ring its doorbell,
	 * from the daemon's end, after each change. */
	rein_a32 driven;
	/* display only */
	rein_a32 context_held;  /* 1: its channel groups are off the GPU */
	rein_a32 context_holds; /* how often they were */
	/* since minor 4, display only: the SMs of its slice, 0: all; and how many there are */
	rein_a32 sms, sms_of;
	rein_a32 cupti; /* since minor 5, display only: enum rein_cupti_state */
	uint32_t reserved2[9];
	/* the client's GPU writes, the client reads: for each of its rows of streams, the low half
	 * of the count of submissions that had completed at the last point passed */
	rein_a32 progress[REIN_POINT_ROWS];
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
static_assert(offsetof(struct rein_status, can) == 56, "ABI");
static_assert(offsetof(struct rein_status, total) == 64, "ABI");
static_assert(sizeof(struct rein_status_device) == 24, "ABI");
static_assert(offsetof(struct rein_status, device) == 128, "ABI");
static_assert(offsetof(struct rein_status, kmodel) % 64 == 0, "ABI");
static_assert(sizeof(struct rein_control) <= REIN_AREA_ALIGN, "ABI: control fits its area");
static_assert(sizeof(struct rein_board) <= REIN_AREA_ALIGN, "ABI: board fits its area");
static_assert(sizeof(struct rein_status) <= REIN_AREA_ALIGN, "ABI: status fits its area");
static_assert(offsetof(struct rein_control, context_recipe) == 32, "ABI");
static_assert(offsetof(struct rein_points, open) == 64, "ABI");
static_assert(offsetof(struct rein_points, keep_open) == 128, "ABI");
static_assert(offsetof(struct rein_points, progress) == 192, "ABI");
static_assert(sizeof(struct rein_points) <= REIN_AREA_ALIGN, "ABI: points fits its area");

#endif
