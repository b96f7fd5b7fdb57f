// SPDX-License-Identifier: Apache-2.0
/*
 * server.h: the session thread: sockets, credentials, hang-ups, signals, the configuration.
 * Everything here belongs to that one thread; the arbiter is reached through loop.h only.
 *
 * Limits, so that no peer makes the daemon grow or stall: every socket is non-blocking, an answer
 * that does not fit into the peer's socket ends the connection, a greeting must come within
 * REIN_HELLO_TIMEOUT_NS, connections are bounded in all and per user.
 */
#ifndef REIN_SERVER_H
#define REIN_SERVER_H

#include "admit.h"
#include "client.h"
#include "metrics.h"
#include "options.h"

#define REIN_USER_CLIENTS_MAX 256 /* of one user other than root */
#define REIN_CONTROLS_MAX 64
#define REIN_HELLO_TIMEOUT_NS (5 * 1000000000ull)

struct rein_conn;

enum rein_watch_kind {
	REIN_WATCH_CLIENTS, /* a listening socket */
	REIN_WATCH_CONTROLS,
	REIN_WATCH_SIGNALS,
	REIN_WATCH_SAY,
	REIN_WATCH_SOCKET,  /* a connection */
	REIN_WATCH_PROCESS, /* its pidfd */
	REIN_WATCH_METRICS, /* listening for scrapers */
	REIN_WATCH_SCRAPE   /* one of them */
};

struct rein_watch {
	enum rein_watch_kind kind;
	union {
		struct rein_conn *conn;
		struct rein_scrape *scrape;
	};
};

struct rein_conn {
	bool control; /* else a client's */
	bool dead;    /* closed; freed at the end of the batch */
	int fd, pidfd;
	struct rein_watch on_socket, on_process;
	struct rein_identity who;
	struct rein_client *client; /* NULL until it said HELLO */
	uint64_t since_ns;
	struct rein_conn *prev, *next;
};

struct rein_server {
	const struct rein_options *options;
	struct rein_config *config;
	struct rein_gates_of gates; /* what the profiles and the configuration allow */
	struct rein_loop *loop;
	struct rein_collector *collector;
	uint64_t trace_until_ns; /* recorded until then even if not configured; 0: not */
	uint64_t probe_until_ns; /* and processes without the shim probed until then; 0: not */
	uint64_t cupti_until_ns; /* with true GPU times of cupti_for (rein_arbiter_set_cupti()) */
	uint32_t cupti_for;
	struct rein_board *board;
	int board_fd, lock_fd, epoll_fd, signal_fd, spare_fd;
	int client_fd, control_fd; /* listening */
	struct rein_watch on_clients, on_controls, on_signals, on_say, on_metrics;
	struct rein_conn *conns, *graveyard;
	unsigned n_clients, n_client_conns, n_control_conns;
	uint32_t next_id;
	const struct rein_policy_ops *policy; /* in use */
	struct rein_admit admit;
	struct rein_metrics metrics;
	uint64_t started_ns, empty_since_ns, watchdog_ns, notified_ns;
	uint64_t log_second;
	unsigned log_lines;
	bool traced; /* events are recorded */
	bool stopping;
};

/* Takes the run directory, starts the arbiter, listens. 0, or -errno with one line in err and
 * nothing left behind. */
REIN_MUST_CHECK int rein_server_start(struct rein_server *s, const struct rein_options *o,
                                      char *err, size_t err_len);
/* Until a signal or `stop`. */
void rein_server_run(struct rein_server *s);
/* Opens all gates, ends the arbiter, removes sockets and pidfile. */
void rein_server_stop(struct rein_server *s);

/* Reads the configuration again: all or nothing. 0, or -errno with one line in err. */
REIN_MUST_CHECK int rein_server_reload(struct rein_server *s, char *err, size_t err_len);
/* Switches the policy live. */
REIN_MUST_CHECK int rein_server_set_policy(struct rein_server *s,
                                           const struct rein_policy_ops *ops);
/* Recomputes what a client is granted and tells the arbiter. `strict`: a reservation that cannot be
 * kept is an error, and nothing changes; else the client goes on without. */
REIN_MUST_CHECK int rein_server_regrant(struct rein_server *s, struct rein_client *c, bool strict,
                                        char *err, size_t err_len);
/* Tells the arbiter what a client has now; its wishes are not looked at again. */
void rein_server_update(struct rein_server *s, struct rein_client *c);
/* For lines that a peer can cause at will: at most a few per second. */
bool rein_server_may_log(struct rein_server *s);

/* trace.c: event recording. _start: the observer thread; 0 or -errno with one line in err. _apply:
 * on or off, as configured and as asked for. _for: on for so long from now, at least. */
REIN_MUST_CHECK int rein_trace_start(struct rein_server *s, char *err, size_t err_len);
void rein_trace_apply(struct rein_server *s);
void rein_trace_for(struct rein_server *s, uint64_t ns);
/* Processes without the shim are probed for so long from now, at least. */
void rein_trace_probe(struct rein_server *s, uint64_t ns);
/* With true GPU times of one client, or of all (UINT32_MAX). */
void rein_trace_cupti_for(struct rein_server *s, uint64_t ns, uint32_t client);
void rein_trace_tick(struct rein_server *s, uint64_t now_ns);
/* Processes that had the GPU open and are no clients, and when that was: it is not told at once. */
void rein_trace_seen(struct rein_server *s, const struct rein_bystanders *seen, uint64_t seen_ns);
/* A client that has joined and whose descriptors are not sent yet. */
void rein_trace_join(struct rein_server *s, struct rein_client *c);

/* conn.c: connections */
void rein_conn_accept(struct rein_server *s, bool control);
/* The next one that waits at a listening socket; negative: there is none. */
int rein_conn_take(struct rein_server *s, int listening);
void rein_conn_event(struct rein_server *s, struct rein_conn *c);
/* The process ended or the socket hung up: the client leaves. */
void rein_conn_close(struct rein_server *s, struct rein_conn *c, const char *why);
void rein_conn_bury(struct rein_server *s);
void rein_conn_timeouts(struct rein_server *s, uint64_t now_ns);

#endif
