// SPDX-License-Identifier: Apache-2.0
/*
 * sim.h: a deterministic discrete-event simulator that runs the very policy objects of policy/ on
 * a virtual clock, a virtual device and virtual programs. It answers what would happen, in
 * virtual nanoseconds; it measures nothing. docs/simulator.md describes the model for users.
 *
 * Model
 *   program  one host thread and one stream per client. Requests arrive (arrivals below) and are
 *            served one after the other. A request is a list of *segments*: kernels, perhaps a
 *            copy before and after them. The host submits them in order, waits for all after
 *            every `gap_every` kernels and then computes for `gap_ns`, and waits for all at the
 *            end. An *endless* program submits without ever waiting.
 *   gate     closed: no new submission; a submission that has begun (submit_ns) goes through.
 *            Metered: unfinished work stays within the backlog; a segment whose time is not known
 *            counts as the whole backlog; one segment is always let in (interpose/backlog.c).
 *            Not metered: the driver takes `queue_max` unfinished segments.
 *   device   REIN_SIM_SLICES: one context at a time. Its turn ends when it has nothing to run, or
 *            when somebody waits and its time slice is over: at the end of the running segment, or
 *            at once with `slice_preempts`. Who waited longest is next; changing contexts costs
 *            switch_ns. A timeslice_ns of 0 means without end. REIN_SIM_MPS: all contexts at once,
 *            each at a speed proportional to its SMs; more SMs wanted than there are: all slower
 *            in proportion. Copies run beside kernels on copy engines, first come first served.
 *   context gate (context_gate_ns > 0): a closed gate also stops the client's running kernel, so
 *            much later; it goes on so much after the gate opened.
 *   arbiter  as daemon/arbiter.c, decide.c and account.c: it learns of a change of a demand word
 *            `reaction_ns` later, charges, calls ready, idle, charge and decide in the same order,
 *            honours the time that decide returns, and applies verdicts closing first. Charges:
 *            REIN_SIM_ESTIMATE, equal parts of wall time among the active ones with an open gate,
 * or REIN_SIM_EXACT, what really ran; both times 1 ± noise. Not modelled: leases, stalls and
 * breaths (the daemon's answer to clients that make no progress).
 *
 * At one instant the device comes first, then programs, then the arbiter: whoever submits at the
 * instant at which the gate closes gets through. That is the worst case, which the proofs want.
 *
 * Determinism: the same setup and seed give the same events, byte for byte. Threads: a simulation
 * belongs to one thread; several may run side by side. Allocation: in rein_sim_new only.
 * Units: ns of virtual time, which starts at 0. Ownership: the setup is copied; names and times_ns
 * are the caller's and must outlive the simulation.
 */
#ifndef REIN_SIM_H
#define REIN_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "../policy.h"

#define REIN_SIM_CLIENTS_MAX 1024
#define REIN_SIM_QUEUE_MAX 4096   /* segments that the driver may take of one client */
#define REIN_SIM_PENDING_MAX 4096 /* requests that wait for their program; more are dropped */
#define REIN_SIM_ENGINES_MAX 8

enum rein_sim_arrival {
	REIN_SIM_PERIODIC, /* every period, each late by up to `jitter_ns` */
	REIN_SIM_SPORADIC, /* a period apart plus an exponential delay of mean jitter_ns */
	REIN_SIM_POISSON,  /* exponential distances, mean period */
	REIN_SIM_BURSTS,   /* Poisson while on; on and off last exponentially long */
	REIN_SIM_TIMES,    /* at times_ns[], ascending */
	REIN_SIM_CLOSED,   /* think_ns after the end of the last */
	REIN_SIM_ENDLESS,  /* submits for ever without waiting for results */
	REIN_SIM_AFTER,    /* one with each end of a request of client `after` */
};

struct rein_sim_client {
	const char *name;
	/* Parameters as in policy.h; id, state and priv are the simulator's. */
	struct rein_policy_client policy;

	enum rein_sim_arrival arrival;
	uint64_t period_ns, offset_ns, jitter_ns, on_ns, off_ns, think_ns;
	const uint64_t *times_ns;
	unsigned n_times;
	unsigned after;

	/* a request */
	unsigned kernels;
	uint64_t kernel_ns;     /* the longest a kernel takes, alone on the whole device */
	uint64_t kernel_min_ns; /* they last evenly spread from this on; 0: all kernel_ns */
	uint64_t copy_in_ns, copy_out_ns; /* 0: none */
	unsigned gap_every;               /* 0: no gaps */
	uint64_t gap_ns;
	uint64_t submit_ns; /* host time of one submission */
	bool unknown;       /* its kernels' times are not known to the shim */
	bool declares;      /* its requests' begins and ends (include/rein.h): exact, no linger */

	uint64_t join_ns, leave_ns; /* leave: when its program has finished after that; 0: never */
};

enum rein_sim_sharing { REIN_SIM_SLICES, REIN_SIM_MPS };
enum rein_sim_charging { REIN_SIM_ESTIMATE, REIN_SIM_EXACT };

struct rein_sim_event;

struct rein_sim_setup {
	const struct rein_policy_ops *ops;
	struct rein_policy_params params;
	uint64_t seed, duration_ns;

	enum rein_sim_sharing sharing;
	uint64_t timeslice_ns, switch_ns, reaction_ns, context_gate_ns;
	bool slice_preempts;
	unsigned sms;          /* of the device; 0: 132 */
	unsigned copy_engines; /* 0: 1 */
	unsigned queue_max;    /* 0: 1024 */
	enum rein_sim_charging charging;
	double noise; /* 0 … 1 */

	const struct rein_sim_client *client;
	unsigned n;

	/* NULL: nobody watches. Called in the order of time of the events' `at_ns`. */
	void (*observe)(void *arg, const struct rein_sim_event *e);
	void *arg;
};

enum rein_sim_event_type {
	REIN_SIM_EV_RELEASE, /* a request arrived */
	REIN_SIM_EV_DROP,    /* it found REIN_SIM_PENDING_MAX others waiting */
	REIN_SIM_EV_SUBMIT,  /* a segment is in the GPU's queue; ns: how long it will take */
	REIN_SIM_EV_RUN,     /* a piece of a segment ran from since_ns to at_ns on `engine` */
	REIN_SIM_EV_SWITCH,  /* the device changed contexts from since_ns to at_ns, to this one */
	REIN_SIM_EV_END,     /* a segment ended */
	REIN_SIM_EV_DONE,    /* a request: since_ns its arrival; missed: after its deadline */
	REIN_SIM_EV_GATE,    /* closed or open; other: the holder's index, or UINT32_MAX */
	REIN_SIM_EV_DECIDE,  /* the policy was asked; ns: the time it returned */
};

#define REIN_SIM_ENGINE_SMS 0 /* copy engines are 1, 2, … */

struct rein_sim_event {
	enum rein_sim_event_type type;
	unsigned client; /* index; DECIDE: 0 */
	uint64_t at_ns, since_ns, ns;
	unsigned engine;
	uint32_t other;
	bool closed, metered, missed;
};

struct rein_sim_histogram; /* of response times, exact to 1 % */

struct rein_sim_result { /* of one client */
	uint64_t released, done, dropped;
	uint64_t missed; /* of those with a deadline: ended late, or due and not ended */
	uint64_t segments;
	uint64_t gpu_ns; /* SM time; under MPS as much as it would have taken alone */
	uint64_t copy_ns;
	uint64_t waited_ns; /* at its closed gate */
	uint64_t response_max_ns;
	const struct rein_sim_histogram *response;
};

struct rein_sim_totals {                      /* of the device */
	uint64_t busy_ns, switch_ns, idle_ns; /* of the SMs; they add up to the duration */
	uint64_t switches;
	uint64_t starved_ns; /* nothing ran at all while somebody waited at a closed gate */
	uint64_t decisions, events;
};

struct rein_sim;

/* 0, -ENOMEM, or -EINVAL with one line in `why`. */
REIN_MUST_CHECK int rein_sim_new(const struct rein_sim_setup *setup, struct rein_sim **out,
                                 char *why, unsigned why_len);
/* Runs to the end of the duration. Once. */
void rein_sim_run(struct rein_sim *s);
void rein_sim_free(struct rein_sim *s);

const struct rein_sim_result *rein_sim_result(const struct rein_sim *s, unsigned client);
const struct rein_sim_totals *rein_sim_totals(const struct rein_sim *s);

/* The response time that `permille` of all did not exceed; 0: there was none. */
uint64_t rein_sim_response(const struct rein_sim_histogram *h, unsigned permille);

static inline void rein_sim_cleanup(struct rein_sim **s)
{
	rein_sim_free(*s);
}
#define REIN_AUTO_SIM __attribute__((cleanup(rein_sim_cleanup)))

#endif
