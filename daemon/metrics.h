// SPDX-License-Identifier: Apache-2.0
/*
 * metrics.h: what monitoring reads: counters, gauges and histograms in Prometheus' text format, at
 * `metrics = …` of rein.conf: a Unix socket or a loopback port (docs/metrics.md).
 *
 * Model. Two kinds of series. By class: histograms and GPU time, counted on the arbiter's thread
 * into a struct rein_tally. By class and program name: the programs' own counters. Programs of one
 * class and name are one series; what they counted stays in it when they end, so that it never
 * falls. There are at most REIN_METRICS_ROWS_MAX such names at a time: a new one takes the place of
 * the one that is gone longest, or counts among "(others)".
 *
 * Serving. On the session thread, never the arbiter's. A scraper is not trusted: at most
 * REIN_METRICS_SCRAPES at a time (the oldest gives way), REIN_METRICS_REQUEST_MAX bytes of request,
 * REIN_METRICS_TIMEOUT_NS from accept to end. The text is made at most once in
 * REIN_METRICS_FRESH_NS, however many ask: making it asks the arbiter. One request a connection.
 *
 * Sources: Prometheus text exposition format 0.0.4 (prometheus.io/docs/instrumenting/
 * exposition_formats); OpenMetrics 1.0.0 (counters lose `_total` in their TYPE line, "# EOF" ends).
 */
#ifndef REIN_METRICS_H
#define REIN_METRICS_H

#include <stdbool.h>
#include <stdio.h>

#include "../common/util.h"
#include "../profiler/collector.h"
#include "loop.h"
#include "metrics_at.h"

#define REIN_METRICS_ROWS_MAX 256
#define REIN_METRICS_SCRAPES 8
#define REIN_METRICS_REQUEST_MAX 4096
#define REIN_METRICS_TIMEOUT_NS 5000000000ull
#define REIN_METRICS_FRESH_NS 100000000ull

struct rein_server;
struct rein_client;

/* ---- metrics_http.c: the request */
struct rein_metrics_request {
	int status; /* of HTTP: 200 or what is wrong */
	bool head;  /* without the body */
	bool open_metrics;
};
/* True when the request is whole, or cannot become one; then *out is set. */
bool rein_metrics_request(const char *text, size_t len, struct rein_metrics_request *out);
/* The answer's head, for a body of so many bytes; its length, less than `len`. */
size_t rein_metrics_head(const struct rein_metrics_request *r, size_t body_len, char *text,
                         size_t len);
/* What stands in the body when the status is not 200. */
const char *rein_metrics_sorry(int status);

/* ---- metrics_text.c: the answer, from plain figures */
struct rein_metrics_class_view {
	char name[REIN_CLASS_LEN];
	unsigned clients;
	struct rein_tally tally;
};
struct rein_metrics_row_view {
	char class_name[REIN_CLASS_LEN], client[REIN_NAME_LEN];
	struct rein_counts n;
	/* of those that run now: how many; the hardest hold, the greatest backlog and p99; sums */
	unsigned clients;
	uint32_t gate; /* enum rein_hold_mode */
	uint64_t backlog_ns, response_p99_ns;
	uint32_t sms; /* 0: all */
	double share;
};
struct rein_metrics_view {
	const char *version, *policy, *mode;
	uint64_t uptime_ns;
	unsigned n_clients;
	struct rein_loop_stats loop;
	struct rein_collector_stats events;
	unsigned n_gpus; /* since the start */
	struct {
		uint8_t uuid[16];
		unsigned clients, active;
	} gpu[REIN_BOARD_DEVICES_MAX];
	unsigned n_classes, n_rows;
	struct rein_metrics_class_view *class;
	struct rein_metrics_row_view *row;
};
void rein_metrics_text(FILE *f, const struct rein_metrics_view *v, bool open_metrics);

/* ---- metrics.c: who counts where */
struct rein_metrics_row;
struct rein_metrics_class;
struct rein_metrics_text {
	char *text;
	size_t len;
	uint64_t made_ns; /* 0: never */
};
struct rein_scrape;

struct rein_metrics { /* of the server; session thread only */
	struct rein_metrics_class *classes;
	struct rein_metrics_row *rows;
	unsigned n_rows;
	struct rein_metrics_text made[2]; /* [open_metrics] */
	/* metrics_serve.c */
	struct rein_metrics_at at;
	int fd; /* listening; -1: not */
	struct rein_scrape *scrape;
	unsigned n_scrapes;
};

/* The client has a class: at its join, before rein_loop_join(), and when it changes. */
void rein_metrics_join(struct rein_server *s, struct rein_client *c);
void rein_metrics_move(struct rein_server *s, struct rein_client *c);
/* It has left the loop, and its memory is still mapped. */
void rein_metrics_leave(struct rein_server *s, struct rein_client *c);
/* The whole text, owned by s until the next call; NULL: out of memory. */
const struct rein_metrics_text *rein_metrics_make(struct rein_server *s, bool open_metrics);
void rein_metrics_free(struct rein_server *s);

/* ---- metrics_serve.c: sockets */
/* Listens where the configuration says from now on. What cannot be is one line in the log: nothing
 * else depends on it. */
void rein_metrics_apply(struct rein_server *s);
void rein_metrics_accept(struct rein_server *s);
void rein_metrics_event(struct rein_server *s, struct rein_scrape *c);
void rein_metrics_tick(struct rein_server *s, uint64_t now_ns);
void rein_metrics_stop(struct rein_server *s);

#endif
