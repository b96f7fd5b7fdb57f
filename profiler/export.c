// SPDX-License-Identifier: Apache-2.0
#include "export.h"

#include <errno.h>

#include "chrome.h"
#include "csv.h"
#include "export_int.h"
#include "perfetto.h"

#define PROGRESS_EVERY (1u << 16)

bool rein_export_wants(const struct export *x, uint32_t pid)
{
	for (size_t i = 0; x->wish->pids && i < x->wish->n_pids; i++)
		if (x->wish->pids[i] == pid)
			return true;
	return !x->wish->pids;
}

bool rein_export_cut(const struct export *x, unsigned epoch)
{
	return !rein_sorted_epoch(x->sorted, epoch)->ended_ns &&
	       !(x->wish->alive && epoch + 1 == rein_sorted_epochs(x->sorted));
}

static int first_look(void *arg, unsigned epoch, const struct rein_trace_record *cell)
{
	struct export *x = arg;
	int err = rein_names_note(&x->names, epoch, cell);
	return err ? err : rein_flow_note(x, epoch, cell);
}

static int tell(void *arg, unsigned epoch, const struct rein_trace_record *r)
{
	struct export *x = arg;
	if (x->wish->progress && x->told % PROGRESS_EVERY == 0)
		x->wish->progress(x->told, rein_sorted_count(x->sorted));
	x->told++;
	rein_export_tell(x, epoch, r);
	if (x->sink->out && ferror(x->sink->out))
		return -EIO;
	return x->err ? x->err : x->sink->err;
}

/* Processes first: they are there even if nothing happened in them. */
static void introduce_clients(struct export *x)
{
	for (size_t i = 0; i < x->names.clients.n; i++) {
		const struct rein_named *c = &x->names.clients.items[i];
		if ((c->left_ns && c->left_ns < x->from_ns) || !rein_export_wants(x, c->pid))
			continue;
		x->result->clients++;
		(void)rein_export_track(x, TRACK_PROCESS, c->pid, 0);
	}
}

/* Where each daemon's recording begins, and what its times are; where it was cut. */
static void tell_epochs(struct export *x)
{
	struct lane *recorder = rein_export_track(x, TRACK_RECORDER, 0, 0);
	for (unsigned i = 0; i < rein_sorted_epochs(x->sorted); i++) {
		const struct rein_sorted_epoch *s = rein_sorted_epoch(x->sorted, i);
		struct rein_event e = {.category = "recorder",
		                       .name = "the recording begins",
		                       .begin_ns = s->begun_ns};
		rein_event_text(&e, "clock", "CLOCK_MONOTONIC");
		rein_event_number(&e, "daemon_pid", s->daemon_pid);
		rein_export_instant(x, recorder, &e);
		if (!rein_export_cut(x, i) || s->newest_ns < x->from_ns)
			continue;
		x->result->cuts++;
		e = (struct rein_event){.category = "recorder",
		                        .name = "the recording was cut here",
		                        .begin_ns = s->newest_ns};
		rein_export_instant(x, recorder, &e);
	}
}

/* How well the times agree is known at the end only. */
static void tell_clocks(struct export *x)
{
	uint64_t newest_ns = rein_sorted_newest(x->sorted);
	struct rein_event e = {
	    .category = "recorder", .name = "the recording ends", .begin_ns = newest_ns};
	if (!newest_ns)
		return;
	rein_event_number(&e, "lost", x->result->lost);
	rein_event_number(&e, "clock_error_ns", x->result->clock_ns);
	rein_export_instant(x, rein_export_track(x, TRACK_RECORDER, 0, 0), &e);
}

static int run(struct export *x)
{
	const struct rein_export_wish *wish = x->wish;
	uint64_t newest_ns = rein_sorted_newest(x->sorted);
	x->from_ns = wish->from_ns;
	if (wish->last_ns)
		x->from_ns = newest_ns > wish->last_ns ? newest_ns - wish->last_ns : 0;
	rein_names_settle(&x->names);
	x->sink->begin(x->sink, rein_sorted_epoch(x->sorted, 0), rein_sorted_epochs(x->sorted));
	introduce_clients(x);
	tell_epochs(x);
	int err = rein_sorted_read(x->sorted, tell, x);
	if (err)
		return err;
	rein_export_tell_rest(x);
	tell_clocks(x);
	if (x->result->from_ns && x->result->from_ns < x->from_ns) /* it began long before */
		x->result->from_ns = x->from_ns;
	x->sink->end(x->sink);
	if (x->sink->out && ferror(x->sink->out))
		return -EIO;
	return x->err ? x->err : x->sink->err;
}

int rein_export(const struct rein_recording *r, const struct rein_export_wish *wish,
                struct rein_sink *sink, struct rein_export_result *result)
{
	struct export x = {.wish = wish, .sink = sink, .result = result};
	x.tracks.limit = REIN_EXPORT_TRACKS;
	memset(result, 0, sizeof(*result));
	int err = rein_sorted_open(&x.sorted, r, first_look, &x);
	if (!err)
		err = run(&x);
	rein_export_tracks_free(&x);
	rein_export_state_free(&x);
	rein_names_free(&x.names);
	rein_sorted_free(x.sorted);
	free(x.flows.items);
	return err;
}

int rein_export_write(FILE *out, enum rein_export_format format, const struct rein_recording *r,
                      const struct rein_export_wish *wish, struct rein_export_result *result)
{
	static const struct {
		struct rein_sink *(*new)(FILE *out);
		void (*free)(struct rein_sink *s);
	} formats[] = {[REIN_EXPORT_PERFETTO] = {rein_perfetto_new, rein_perfetto_free},
	               [REIN_EXPORT_CHROME] = {rein_chrome_new, rein_chrome_free},
	               [REIN_EXPORT_CSV] = {rein_csv_new, rein_csv_free}};
	struct rein_sink *sink = formats[format].new(out);
	int err = sink ? rein_export(r, wish, sink, result) : -ENOMEM;
	formats[format].free(sink);
	return err;
}
