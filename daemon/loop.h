// SPDX-License-Identifier: Apache-2.0
/*
 * loop.h: the arbiter's thread: it alone touches struct rein_arbiter, so the core needs no lock.
 *
 * It sleeps in epoll_wait on the clients' doorbells, its own wake-up and a timer, or spins on the
 * urgent clients' demand words (modes below). Other threads reach it through rein_loop_call(),
 * which runs a function on this thread between two decisions and waits for it; only the session
 * thread calls it. The arbiter never waits for that thread: lines for the log go through a ring
 * that drops when it is full.
 *
 * Modes. adaptive: spins for REIN_LOOP_SPIN_NS after the last change of an urgent client's word
 * (priority above 0), while a core is free. spin: spins as long as an urgent client is joined.
 * sleep: never spins.
 *
 * A doorbell is a socket pair: sockets, unlike eventfds, can be told apart by the process that
 * holds the other end (interpose/ours.h), and unlike pipes raise no SIGPIPE there when we are gone.
 * The end that is read is the daemon's alone, so nobody else can make it block.
 */
#ifndef REIN_LOOP_H
#define REIN_LOOP_H

#include "arbiter.h"
#include "config.h"

#define REIN_LOOP_SPIN_NS 200000ull
#define REIN_LOOP_SAY_LEN 320
#define REIN_DOORBELL_BYTES 4096
#define REIN_LOOP_HANG_NS 1000000000ull /* one step of the arbiter as long as that is a hang */
#define REIN_LOOP_WATCH_NS 250000000ull /* how often the session looks, while clients are there */

struct rein_member { /* a client as the loop knows it; the core's part stands first */
	struct rein_arbiter_client arbiter;
	int doorbell_fd; /* the end to read */
	int pid_fd;     /* -1: none. Watched here too: the death of who holds others cannot wait for
	                 * the session thread, which is no real-time thread */
	bool gone;      /* it died and has left the arbiter */
	uint32_t rings; /* in the current second; a flood silences a best-effort client's bell */
	uint64_t window_ns;
	bool muted;
};

struct rein_loop;

/* Starts the thread. 0 or -errno. */
REIN_MUST_CHECK int rein_loop_start(struct rein_loop **out, struct rein_board *board,
                                    const struct rein_policy_ops *ops,
                                    const struct rein_policy_params *params, enum rein_mode mode);
/* Opens all gates, ends the thread, frees. No client may be joined any more, except those that
 * are about to be dropped with the whole process: their memory must still be mapped. */
void rein_loop_stop(struct rein_loop *l);

/* Ends the process (REIN_EXIT_HUNG) if the arbiter has been in one step for REIN_LOOP_HANG_NS: a
 * policy hangs. Leases cover the gap, and the supervisor starts again. Session thread only. */
void rein_loop_watch(struct rein_loop *l, uint64_t now_ns);

/* Runs fn(arbiter, arg, now) on the arbiter's thread and returns when it has run; watches. */
void rein_loop_call(struct rein_loop *l,
                    void (*fn)(struct rein_arbiter *a, void *arg, uint64_t now_ns), void *arg);

/* rein_arbiter_join and the doorbell; both through rein_loop_call. */
REIN_MUST_CHECK int rein_loop_join(struct rein_loop *l, struct rein_member *m, char *why,
                                   unsigned why_len);
void rein_loop_leave(struct rein_loop *l, struct rein_member *m);
/* rein_arbiter_set; -ESRCH if the client has died. */
REIN_MUST_CHECK int rein_loop_set(struct rein_loop *l, struct rein_member *m,
                                  const struct rein_arbiter_params *params, char *why,
                                  unsigned why_len);

void rein_loop_set_mode(struct rein_loop *l, enum rein_mode mode);
enum rein_mode rein_loop_mode(struct rein_loop *l);

struct rein_loop_stats {
	uint64_t decisions;
	uint64_t decide_p50_ns, decide_p99_ns; /* from reading the words to gates written */
	struct rein_histogram decide;
};
void rein_loop_stats(struct rein_loop *l, struct rein_loop_stats *out);

/* Readable when the arbiter said something; rein_loop_heard() then gives the lines one by one:
 * false when there is no more. Session thread only. */
int rein_loop_say_fd(const struct rein_loop *l);
bool rein_loop_heard(struct rein_loop *l, char line[REIN_LOOP_SAY_LEN]);

#endif
