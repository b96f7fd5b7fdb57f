// SPDX-License-Identifier: Apache-2.0
/* sim_int.h: what the simulator's files share with each other only. Who calls whom: sim.c (the
 * loop) → device.c, program.c, arbiter.c; these three tell each other what changed. */
#ifndef REIN_SIM_INT_H
#define REIN_SIM_INT_H

#include "random.h"
#include "sim.h"
#include "timers.h"

/* ---- response times: 128 buckets to each power of two */
#define SIM_HIST_STEPS 7u
#define SIM_HIST_BUCKETS ((64u - SIM_HIST_STEPS + 1) << SIM_HIST_STEPS)

struct rein_sim_histogram {
	uint64_t count, max_ns;
	uint32_t bucket[SIM_HIST_BUCKETS];
};

void rein_sim_histogram_add(struct rein_sim_histogram *h, uint64_t ns);

/* ---- timers, in the order of what comes first at one instant */
enum { SIM_TIMER_SMS }; /* then copy engines, all clients' JOIN, all ARRIVE …, the arbiter */
enum { SIM_TIMER_JOIN, SIM_TIMER_ARRIVE, SIM_TIMER_HOST, SIM_TIMER_CONTEXT, SIM_TIMERS_CLIENT };

struct sim_segment {
	uint64_t ns;          /* on the whole device */
	uint64_t reserved_ns; /* what it counts in the backlog */
	uint64_t arrival_ns;  /* of its request */
	bool copy, last;
};

enum sim_phase {
	SIM_IDLE,   /* no request */
	SIM_SUBMIT, /* wants to submit its next segment */
	SIM_CALL,   /* is submitting it: past the check */
	SIM_DRAIN,  /* waits for what it submitted: then comes a gap, or the request is over */
	SIM_THINK,  /* in a gap */
};

enum sim_turn { SIM_NO_TURN, SIM_WAITS, SIM_OWNS };

struct sim_client {
	struct rein_sim_client spec;
	struct rein_policy_client policy;
	struct rein_sim_result result;
	struct rein_sim_histogram response;
	unsigned index;
	uint64_t random;
	uint64_t longest_ns; /* segment */
	bool joined, leaving;
	bool followed; /* another's requests come with its ends */

	/* arrivals */
	uint64_t nominal_ns; /* the last one's, without its jitter */
	unsigned next_time;
	uint64_t on_until_ns;
	uint64_t *pending; /* arrival times of requests that wait, a ring */
	uint32_t pending_head, pending_tail;

	/* the program */
	enum sim_phase phase;
	bool open;            /* a request is */
	uint64_t arrival_ns;  /* its arrival */
	unsigned next, total; /* of its segments */
	uint64_t waits_since_ns;

	/* unfinished work */
	struct sim_segment *queue; /* in the GPU's queue, a ring */
	uint32_t queue_head, queue_tail;
	unsigned outstanding; /* with the one that is being submitted */
	uint64_t outstanding_ns;

	/* the device */
	enum sim_turn turn;
	bool off;          /* stopped by the context gate */
	bool copying;      /* its first segment is with a copy engine */
	bool running;      /* MPS */
	uint64_t left_ns;  /* slices: of its first segment */
	double left;       /* MPS: the same */
	double ran;        /* MPS: behind gpu_ns */
	uint64_t since_ns; /* MPS: its first segment began */

	/* what it is told */
	bool closed, metered;
	uint32_t holder;
	uint64_t backlog_ns;
	uint32_t backlog_launches;
	uint32_t sms;
	uint64_t timeslice_ns;

	/* its demand word: as it is, and as the arbiter last read it */
	bool word_active, word_waiting, word_exact;
	uint32_t word, word_seen;
	uint64_t word_release_ns; /* of the declared request that is open */
	bool seen_active, live, exact;
	uint64_t idle_since_ns; /* lingers since then; UINT64_MAX: does not */
	uint64_t ran_charged_ns;
	/* its gate closed; its queue was empty after that (0: never yet); how much of what it had
	 * queued then may still be charged to it */
	uint64_t closed_ns, drained_ns, drain_left_ns;
	bool holding, rare, notify;
};

struct sim_sms {
	int owner, loaded; /* −1: nobody */
	bool running, switching;
	uint64_t since_ns; /* the piece, or the switch, that is under way began */
	uint64_t turn_ns;  /* the owner's turn began */
	uint64_t slice_ns; /* its time slice ends; UINT64_MAX: nobody waits */
	uint32_t head, tail;
	uint32_t waits[REIN_SIM_CLIENTS_MAX];
	/* MPS */
	uint64_t at_ns; /* progress is up to date until then */
	double wanted;  /* SMs by all that run, at least those there are */
	unsigned n_running;
};

struct sim_copies {
	int client[REIN_SIM_ENGINES_MAX]; /* −1: free */
	uint64_t since_ns[REIN_SIM_ENGINES_MAX];
	unsigned busy;
	uint32_t head, tail;
	uint32_t waits[REIN_SIM_CLIENTS_MAX];
};

struct rein_sim {
	struct rein_sim_setup setup;
	uint64_t now_ns;
	struct rein_sim_timers timers;
	struct rein_sim_totals totals;
	unsigned n;
	struct sim_client *client;
	unsigned waiters; /* clients at a closed gate */
	uint32_t queue_mask;

	struct sim_sms sms;
	struct sim_copies copies;

	/* the arbiter */
	struct rein_policy *policy;
	uint64_t random; /* its noise */
	unsigned n_joined;
	struct rein_policy_client *asked[REIN_SIM_CLIENTS_MAX];
	unsigned who[REIN_SIM_CLIENTS_MAX]; /* its index */
	struct rein_policy_verdict verdict[REIN_SIM_CLIENTS_MAX];
	uint64_t charged_ns, next_ns, tick_ns;
	bool dirty;
};

static inline unsigned sim_timer(const struct rein_sim *s, const struct sim_client *c,
                                 unsigned which)
{
	return SIM_TIMER_SMS + 1 + s->setup.copy_engines + which * s->n + c->index;
}

static inline unsigned sim_timer_arbiter(const struct rein_sim *s)
{
	return SIM_TIMER_SMS + 1 + s->setup.copy_engines + s->n * SIM_TIMERS_CLIENT;
}

static inline void sim_tell(const struct rein_sim *s, const struct rein_sim_event *e)
{
	if (REIN_UNLIKELY(s->setup.observe != NULL))
		s->setup.observe(s->setup.arg, e);
}

static inline struct sim_segment *sim_first(const struct rein_sim *s, const struct sim_client *c)
{
	return c->queue_head == c->queue_tail ? NULL : &c->queue[c->queue_head & s->queue_mask];
}

/* device.c */
void rein_sim_device_init(struct rein_sim *s);
/* A segment has become the first of its queue. */
void rein_sim_device_first(struct rein_sim *s, struct sim_client *c);
/* Whether its first segment may run may have changed. */
void rein_sim_device_look(struct rein_sim *s, struct sim_client *c);
/* The SM slices changed. */
void rein_sim_device_sms(struct rein_sim *s);
void rein_sim_device_timer(struct rein_sim *s);
void rein_sim_device_copied(struct rein_sim *s, unsigned engine);
/* SM time that it has had until now. */
uint64_t rein_sim_device_ran(struct rein_sim *s, struct sim_client *c);
bool rein_sim_device_nothing_runs(const struct rein_sim *s);
/* The end: what runs is cut off and counted. */
void rein_sim_device_end(struct rein_sim *s);

/* program.c */
void rein_sim_program_arrives(struct rein_sim *s, struct sim_client *c);
void rein_sim_program_host(struct rein_sim *s, struct sim_client *c);
/* Goes on as far as it can; also called when its gate or its room changed. */
void rein_sim_program_go(struct rein_sim *s, struct sim_client *c);
void rein_sim_program_ended(struct rein_sim *s, struct sim_client *c);
/* Sets the timer of its first arrival. */
void rein_sim_program_start(struct rein_sim *s, struct sim_client *c);
void rein_sim_program_leave(struct rein_sim *s, struct sim_client *c);

/* arrivals.c: when the next request comes; UINT64_MAX: never, or not by the clock. */
uint64_t rein_sim_arrival(struct sim_client *c);

/* arbiter.c */
REIN_MUST_CHECK int rein_sim_arbiter_init(struct rein_sim *s);
void rein_sim_arbiter_fini(struct rein_sim *s);
REIN_MUST_CHECK int rein_sim_arbiter_join(struct rein_sim *s, struct sim_client *c);
void rein_sim_arbiter_leave(struct rein_sim *s, struct sim_client *c);
/* The client's demand word changed and it rings. */
void rein_sim_arbiter_ring(struct rein_sim *s);
void rein_sim_arbiter_wake(struct rein_sim *s);

#endif
