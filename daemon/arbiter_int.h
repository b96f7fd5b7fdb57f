// SPDX-License-Identifier: Apache-2.0
/* arbiter_int.h: what the files of the arbiter's core (arbiter.h) share with each other only. */
#ifndef REIN_ARBITER_INT_H
#define REIN_ARBITER_INT_H

#include "arbiter.h"

/* arbiter.c: publishes how the client is to tell that it goes idle: by the bell, or late. */
void rein_client_notify(const struct rein_arbiter *a, struct rein_arbiter_client *c);

/* active.c: demand words, requests */
/* What the policy sees of it follows from live and stalled. */
void rein_active_publish(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);
/* The end of its linger, if it is due. Returns when it is; UINT64_MAX: it does not linger. */
uint64_t rein_active_linger(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);
/* Works its deadline out anew, for parameters that changed. */
void rein_active_due(struct rein_arbiter_client *c);

/* stall.c */
/* It showed progress: whatever its stall led to ends. */
void rein_stall_progress(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);
/* Looks at a client for whose sake others are held. Returns when to look again. */
uint64_t rein_stall_look(struct rein_arbiter *a, struct rein_arbiter_client *c, bool tick,
                         uint64_t now_ns);
/* When that is, if nothing changes; UINT64_MAX: nobody is held for it. */
uint64_t rein_stall_next(const struct rein_arbiter_client *c);

/* job.c: which clients run together. */
void rein_job_enter(struct rein_arbiter *a, struct rein_arbiter_client *c);
void rein_job_leave(struct rein_arbiter *a, struct rein_arbiter_client *c);
/* The devices of its members changed. */
void rein_job_refresh(struct rein_arbiter *a, struct rein_arbiter_client *c);

/* recent.c */
/* What makes a wait, its gate or its demand word, may have changed. */
void rein_recent_wait(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);
void rein_recent_tick(struct rein_arbiter_client *c, uint64_t now_ns);
/* A request of it took so long. */
void rein_recent_response(struct rein_arbiter_client *c, uint64_t ns, uint64_t now_ns);

/* measure.c */
void rein_measure_begin(struct rein_arbiter_client *c);
/* Its request ended then. */
void rein_measure_end(struct rein_arbiter_client *c, uint64_t end_ns);
/* Looks at the kernel times of the client whose turn it is. */
void rein_measure_tick(struct rein_arbiter *a);

/* device.c */
/* Looks for slots that the client declared since. */
void rein_device_look(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);
/* Takes the client off its devices; a device without clients is forgotten. */
void rein_device_leave(struct rein_arbiter *a, struct rein_arbiter_client *c);
/* All devices of the client: their next decision is due now. */
void rein_device_mark(struct rein_arbiter *a, struct rein_arbiter_client *c);
/* Publishes whether several clients are active. */
void rein_device_publish_owners(struct rein_arbiter *a, unsigned index);

/* decide.c */
/* Asks the policy about all dirty devices and writes what changed. */
void rein_decide(struct rein_arbiter *a, uint64_t now_ns);
/* Asks only: the slots hold the answers, no gate moves until rein_decide(). */
void rein_decide_ask(struct rein_arbiter *a, uint64_t now_ns);
/* Is its job held for client `id`, as asked last? */
bool rein_decide_held_for(const struct rein_arbiter_client *c, uint32_t id);
/* Renews the leases of all clients that are held, and holds those harder that it takes more for. */
void rein_decide_renew(struct rein_arbiter *a, uint64_t now_ns);
/* Opens all gates of one client, whatever the policy says. */
void rein_decide_open(struct rein_arbiter *a, struct rein_arbiter_client *c);

/* points.c: the queue gate, and how a client is held */
/* Before a device's verdicts are taken: who is the most urgent there. */
void rein_points_rank(struct rein_arbiter_device *d, uint64_t now_ns);
/* Estimated work between its points on one device; 0: no points. `wish_ns`: the policy's, or 0. */
uint64_t rein_points_every(const struct rein_arbiter *a, const struct rein_arbiter_client *c,
                           const struct rein_arbiter_device *d, uint64_t wish_ns);
/* The time slice of its contexts on one device; 0: the driver's. `wish_us`: the policy's, or 0. */
uint32_t rein_points_timeslice(const struct rein_arbiter *a, const struct rein_arbiter_client *c,
                               const struct rein_arbiter_device *d, uint32_t wish_us);
/* Its slice of one device, as in the verdict; 0: none. `wish`: the policy's, or 0. */
uint32_t rein_points_sms(const struct rein_arbiter *a, const struct rein_arbiter_client *c,
                         const struct rein_arbiter_device *d, uint32_t wish);
/* How it is to be held, now or if that goes on. */
uint32_t rein_points_mode(const struct rein_arbiter *a, const struct rein_arbiter_client *c,
                          uint64_t now_ns);
/* How long somebody more urgent waits for what it has queued, at most; 0: nobody is registered, or
 * it is not known. */
uint64_t rein_points_delay(const struct rein_arbiter *a, const struct rein_arbiter_client *c,
                           uint64_t now_ns);
/* Closes its points after its gates, or opens them before. Idempotent. */
void rein_points_close(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);
void rein_points_open(struct rein_arbiter *a, struct rein_arbiter_client *c);
/* Pulses; `tick`: closes again what somebody opened. Returns when to look again. */
uint64_t rein_points_step(struct rein_arbiter *a, struct rein_arbiter_client *c, bool tick,
                          uint64_t now_ns);

/* What is allowed on a device that is new, or for all; and tells a client what its profile says. */
void rein_points_device(const struct rein_arbiter *a, struct rein_arbiter_device *d);
void rein_points_publish(const struct rein_arbiter *a, struct rein_arbiter_client *c);

/* hold.c: its hold began, ended or changed; goes on; is to be told of as far as it has come. */
void rein_hold_note(const struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);
void rein_hold_tick(const struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);
void rein_hold_end(const struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);

/* account.c: charges the time since the last look, with the state as it was until now. Call it
 * before any change of who is active or held. */
void rein_account_client(struct rein_arbiter *a, struct rein_arbiter_client *c, uint64_t now_ns);
void rein_account_device(struct rein_arbiter *a, struct rein_arbiter_device *d, uint64_t now_ns);

/* It is held from now on: what it has left on the GPU drains. */
void rein_account_close(struct rein_arbiter_client *c, uint64_t now_ns);
/* It is held in another way from now on. */
void rein_account_harder(struct rein_arbiter_client *c);

static inline bool rein_client_working(const struct rein_arbiter_client *c)
{
	return c->demand & REIN_DEMAND_ACTIVE;
}

static inline bool rein_client_wide(const struct rein_arbiter_client *c)
{
	return c->job_devices & (c->job_devices - 1);
}

static inline uint64_t rein_min_ns(uint64_t x, uint64_t y)
{
	return x < y ? x : y;
}

#endif
