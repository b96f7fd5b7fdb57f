// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "../common/doing.h"
#include "export_int.h"

#define REQUESTS_MAX 1024u /* open ones of a client; the newest beyond are left out */

/* ---------------------------------------------------------------- calls and waits */

static void put_stream(struct rein_event *e, uint32_t stream)
{
	if (stream == UINT32_MAX)
		return;
	rein_event_number(e, "stream", stream & 0xffff);
	rein_event_number(e, "device", stream >> 16 & 0xff);
	rein_event_number(e, "context", stream >> 24);
}

struct shape {
	char grid[40], block[40];
};

static void put_shape(struct rein_event *e, const struct rein_trace_record *r, struct shape *s)
{
	if (r->b >> 32) {
		snprintf(s->grid, sizeof(s->grid), "%u x %u x %u", (uint32_t)r->a,
		         (uint32_t)(r->a >> 32 & 0xffff), (uint32_t)(r->a >> 48));
		snprintf(s->block, sizeof(s->block), "%u x %u x %u", (uint32_t)(r->b >> 32 & 0xfff),
		         (uint32_t)(r->b >> 44 & 0xfff), (uint32_t)(r->b >> 56));
		rein_event_text(e, "grid", s->grid);
		rein_event_text(e, "block", s->block);
		rein_event_number(e, "shared", (uint32_t)r->b);
	} else if (r->a) {
		rein_event_number(e, "bytes", r->a);
	}
}

static struct lane *thread_of(struct export *x, const struct client *c,
                              const struct rein_trace_record *r)
{
	return rein_export_track(x, TRACK_THREAD, c->pid, r->thread);
}

static void tell_call(struct export *x, struct client *c, const struct rein_trace_record *r)
{
	bool submits = r->kind == REIN_TRACE_SUBMIT;
	struct shape shape;
	if (submits)
		rein_export_submitted(x, c, r);
	else
		rein_export_completes(x, c, r);
	if (!c->wanted)
		return;
	const char *entry = rein_names_entry(r->entry);
	const char *kernel = rein_names_kernel(&x->names, c->key[0], r);
	struct rein_event e = {.category = submits ? "submit" : "sync",
	                       .name = kernel ? kernel : entry,
	                       .begin_ns = r->begin,
	                       .end_ns = r->end,
	                       .flow = submits ? rein_flow_begin(x, c->key[0], r)
	                                       : rein_flow_end(x, c->key[0], r)};
	e.flow_part = !e.flow ? REIN_FLOW_NONE : submits ? REIN_FLOW_BEGINS : REIN_FLOW_RETURNS;
	rein_event_text(&e, "entry", entry);
	put_stream(&e, r->stream);
	if (r->stream != UINT32_MAX)
		rein_event_number(&e, submits ? "number" : "completes", r->number);
	if (submits)
		put_shape(&e, r, &shape);
	if (r->result)
		rein_event_number(&e, "result", r->result);
	rein_export_slice(x, thread_of(x, c, r), &e);
}

/* A moment on the holder's own track, from which a flow leads to the wait. */
static uint64_t tell_holder(struct export *x, const struct client *holder, const struct client *c,
                            const struct rein_trace_record *r)
{
	char name[80];
	uint64_t flow = rein_mix3(c->key[0], (uint64_t)r->thread << 8 | r->kind, r->begin);
	if (r->begin < x->from_ns)
		return 0;
	snprintf(name, sizeof(name), "%s waits", c->name);
	struct rein_event e = {.category = "gate",
	                       .name = name,
	                       .begin_ns = r->begin,
	                       .flow_part = REIN_FLOW_BEGINS,
	                       .flow = flow};
	rein_event_number(&e, "pid", c->pid);
	rein_event_number(&e, "thread", r->thread);
	rein_export_instant(x, rein_export_track(x, TRACK_HOLDS, holder->pid, 0), &e);
	return flow;
}

static void tell_gate(struct export *x, unsigned epoch, struct client *c,
                      const struct rein_trace_record *r)
{
	uint64_t who = rein_who(epoch, r->number);
	const struct client *holder = r->number ? rein_export_client(x, who) : NULL;
	rein_export_waits(x, r);
	rein_export_stay(x, rein_export_sweep(x, TRACK_FOR, who, "gate"), r, c);
	if (!c->wanted)
		return;
	struct rein_event e = {.category = "gate",
	                       .name = "gate closed",
	                       .begin_ns = r->begin,
	                       .end_ns = r->end,
	                       .flow = holder ? tell_holder(x, holder, c, r) : 0};
	e.flow_part = e.flow ? REIN_FLOW_ENDS : REIN_FLOW_NONE;
	rein_event_bool(&e, "lapsed", r->flags & REIN_TRACE_LAPSED);
	put_stream(&e, r->stream);
	if (holder) {
		rein_event_text(&e, "holder", holder->name);
		rein_event_number(&e, "holder_pid", holder->pid);
	}
	if (r->flags & REIN_TRACE_BACKGROUND)
		rein_event_bool(&e, "background", true);
	rein_export_slice(x, thread_of(x, c, r), &e);
}

static void tell_backlog(struct export *x, struct client *c, const struct rein_trace_record *r)
{
	struct rein_event e = {
	    .category = "backlog", .name = "backlog full", .begin_ns = r->begin, .end_ns = r->end};
	rein_event_bool(&e, "lapsed", r->flags & REIN_TRACE_LAPSED);
	put_stream(&e, r->stream);
	rein_export_slice(x, thread_of(x, c, r), &e);
}

/* The name of a process, or NULL. */
static const char *process_name(struct export *x, uint32_t pid)
{
	struct lane *l = pid ? rein_export_track(x, TRACK_PROCESS, pid, 0) : NULL;
	return l ? l->track.name : NULL;
}

static void tell_offcpu(struct export *x, struct client *c, const struct rein_trace_record *r)
{
	static const char *const phases[REIN_PHASES] = {"its own code", "gate", "backlog", "sync"};
	const char *phase = r->result < REIN_PHASES ? phases[r->result] : "unknown";
	uint32_t waker = (uint32_t)r->b, culprit = (uint32_t)(r->b >> 32);
	uint64_t runnable_ns = r->a >= r->begin && r->a <= r->end ? r->a : r->begin;
	struct lane *thread = thread_of(x, c, r);
	struct rein_event e = {.category = "off CPU", .name = "blocked", .begin_ns = r->begin};
	rein_event_text(&e, "during", phase);
	const struct rein_event both = e;
	if (runnable_ns > r->begin) {
		e.end_ns = runnable_ns;
		if (waker) {
			rein_event_text(&e, "woken_by", process_name(x, waker));
			rein_event_number(&e, "waker_pid", waker);
			rein_event_number(&e, "waker_thread", r->number);
		}
		rein_export_slice(x, thread, &e);
	}
	if (runnable_ns < r->end) {
		e = both;
		e.name = runnable_ns > r->begin ? "run queue" : "preempted";
		e.begin_ns = runnable_ns;
		e.end_ns = r->end;
		rein_event_number(&e, "cpu", r->stream);
		if (culprit) {
			rein_event_text(&e, "had_cpu", process_name(x, culprit));
			rein_event_number(&e, "had_cpu_pid", culprit);
			if (r->flags)
				rein_event_number(&e, "had_cpu_percent", r->flags * 100u / 255);
		}
		rein_export_slice(x, thread, &e);
	}
}

/* ---------------------------------------------------------------- the GPU */

static void tell_gpu(struct export *x, struct client *c, const struct rein_trace_record *r)
{
	static const char *const names[] = {[REIN_GPU_KERNEL] = "kernel",
	                                    [REIN_GPU_COPY] = "copy",
	                                    [REIN_GPU_SET] = "set",
	                                    [REIN_GPU_GRAPH] = "graph"};
	unsigned what = r->result & 0xff, kind = r->result >> 8;
	bool copy = what == REIN_GPU_COPY;
	uint32_t device = r->stream == UINT32_MAX ? 0 : r->stream >> 16 & 0xff;
	uint64_t of_gpu = (uint64_t)device << 32;
	struct shape shape;
	if (what < REIN_GPU_KERNEL || what > REIN_GPU_GRAPH)
		return;
	if (!copy)
		rein_export_stay(x, rein_export_sweep(x, TRACK_OWNER, device, "gpu"), r, c);
	if (!c->wanted)
		return;
	const char *kernel = rein_names_kernel(&x->names, c->key[0], r);
	struct rein_event e = {.category = "gpu",
	                       .name = kernel ? kernel : names[what],
	                       .begin_ns = r->begin,
	                       .end_ns = r->end,
	                       .flow = rein_flow_pass(x, c->key[0], r)};
	e.flow_part = e.flow ? REIN_FLOW_PASSES : REIN_FLOW_NONE;
	rein_event_text(&e, "what", names[what]);
	rein_event_number(&e, "correlation", (uint32_t)r->b);
	if (r->stream != UINT32_MAX)
		rein_event_number(&e, "number", r->number);
	if (what == REIN_GPU_KERNEL) {
		snprintf(shape.grid, sizeof(shape.grid), "%u x %u x %u", (uint32_t)r->a,
		         (uint32_t)(r->a >> 32 & 0xffff), (uint32_t)(r->a >> 48));
		rein_event_text(&e, "grid", shape.grid);
	} else if (r->a) {
		rein_event_number(&e, "bytes", r->a);
	}
	rein_export_slice(x,
	                  rein_export_track(x, copy ? TRACK_COPIES : TRACK_STREAM, c->key[0],
	                                    of_gpu | (copy ? kind : (uint32_t)(r->b >> 32))),
	                  &e);
}

/* ---------------------------------------------------------------- what the daemon saw */

static void tell_hold(struct export *x, unsigned epoch, const struct client *c,
                      const struct rein_trace_record *r)
{
	static const char *const modes[] = {[REIN_HOLD_NONE] = "none",
	                                    [REIN_HOLD_LAUNCH] = "launch",
	                                    [REIN_HOLD_QUEUE] = "queue",
	                                    [REIN_HOLD_CONTEXT] = "context"};
	const struct client *holder =
	    r->number ? rein_export_client(x, rein_who(epoch, r->number)) : NULL;
	struct rein_event e = {.category = "hold",
	                       .name = holder ? holder->name : "its own budget",
	                       .begin_ns = r->begin,
	                       .end_ns = r->end};
	rein_event_text(&e, "gate",
	                r->result < REIN_ARRAY_LEN(modes) ? modes[r->result] : "unknown");
	if (holder)
		rein_event_number(&e, "holder_pid", holder->pid);
	rein_export_slice(x, rein_export_track(x, TRACK_HELD, c->key[0], 0), &e);
}

static void tell_outsider(struct export *x, const struct rein_trace_record *r)
{
	static const char *const names[] = {[REIN_OUTSIDER_LAUNCH] = "launches",
	                                    [REIN_OUTSIDER_SYNC] = "synchronisations",
	                                    [REIN_OUTSIDER_IOCTL] = "calls to the driver",
	                                    [REIN_OUTSIDER_EXIT] = "it ended",
	                                    [REIN_OUTSIDER_OPEN] = "has the GPU open"};
	unsigned what = r->result < REIN_ARRAY_LEN(names) ? r->result : 0;
	struct rein_event e = {
	    .category = "outside", .name = names[what], .begin_ns = r->begin, .end_ns = r->end};
	if (!what)
		return;
	struct lane *l = rein_export_track(x, TRACK_OUTSIDE, r->thread, 0);
	rein_event_number(&e, "times", r->a);
	if (what == REIN_OUTSIDER_EXIT)
		rein_export_instant(x, l, &e);
	else
		rein_export_slice(x, l, &e);
}

static void tell_lost(struct export *x, struct client *c, const struct rein_trace_record *r)
{
	char name[48];
	if (r->end < x->from_ns)
		return;
	x->result->lost += r->a;
	c->lost += r->a;
	snprintf(name, sizeof(name), "%llu event%s lost", (unsigned long long)r->a,
	         r->a == 1 ? "" : "s");
	struct rein_event e = {.category = "recorder", .name = name, .begin_ns = r->end};
	rein_export_instant(x, rein_export_track(x, TRACK_PROCESS, c->pid, 0), &e);
	rein_export_count(x, rein_export_track(x, TRACK_LOST, c->pid, 0), r->end, c->lost);
}

static void tell_left(struct export *x, struct client *c, const struct rein_trace_record *r)
{
	struct rein_event e = {
	    .category = "recorder", .name = "its process ended", .begin_ns = r->end};
	rein_export_leave(x, rein_export_sweep(x, TRACK_WORK, 0, "work"), r->end, c);
	rein_export_idle(x, c, r->end);
	if (c->wanted)
		rein_export_instant(x, rein_export_track(x, TRACK_PROCESS, c->pid, 0), &e);
}

/* ---------------------------------------------------------------- from idle to idle */

/* When what began before the first record of a client did so at the latest. */
static uint64_t begin_of(const struct export *x, const struct client *c)
{
	const struct rein_named *named = rein_names_client(&x->names, c->key[0]);
	uint64_t begun_ns = rein_sorted_epoch(x->sorted, (unsigned)(c->key[0] >> 32))->begun_ns;
	return named && named->joined_ns > begun_ns ? named->joined_ns : begun_ns;
}

/* When what is still open counts as over, and why. */
static uint64_t end_of(const struct export *x, const struct client *c, const char **why)
{
	const struct rein_named *named = rein_names_client(&x->names, c->key[0]);
	unsigned epoch = (unsigned)(c->key[0] >> 32);
	bool left = named && named->left_ns;
	*why = left                        ? "its process ended"
	       : rein_export_cut(x, epoch) ? "the recording was cut"
	                                   : "still going on";
	return left ? named->left_ns : rein_sorted_epoch(x->sorted, epoch)->newest_ns;
}

static void active(struct export *x, const struct client *c, uint64_t begin_ns, uint64_t end_ns,
                   const char *cut)
{
	struct rein_event e = {
	    .category = "active", .name = "active", .begin_ns = begin_ns, .end_ns = end_ns};
	if (!c->wanted || end_ns < x->from_ns)
		return;
	if (cut)
		rein_event_text(&e, "cut", cut);
	rein_export_slice(x, rein_export_track(x, TRACK_ACTIVE, c->pid, 0), &e);
}

static void tell_mark(struct export *x, struct client *c, const struct rein_trace_record *r)
{
	struct sweep *work = rein_export_sweep(x, TRACK_WORK, 0, "work");
	bool begins = r->kind == REIN_TRACE_ACTIVE;
	if (!begins && c->active_ns)
		active(x, c, c->active_ns, r->begin, NULL);
	else if (!begins && !c->marked)
		active(x, c, begin_of(x, c), r->begin, "it began before the recording");
	else if (c->active_ns)
		active(x, c, c->active_ns, r->begin, "its end was lost");
	if (begins && !c->active_ns)
		rein_export_enter(x, work, r->begin, c);
	if (!begins && c->active_ns)
		rein_export_leave(x, work, r->begin, c);
	if (!begins)
		rein_export_idle(x, c, r->begin);
	c->marked = true;
	c->active_ns = begins ? r->begin : 0;
}

/* ---------------------------------------------------------------- declared requests */

static void open_request(struct export *x, struct client *c, const struct rein_trace_record *r)
{
	struct request *q = c->n_requests < REQUESTS_MAX ? malloc(sizeof(*q)) : NULL;
	if (!q) {
		x->result->left_out++;
		return;
	}
	*q = (struct request){.id = r->func,
	                      .begin_ns = r->begin,
	                      .deadline_ns = r->flags & REIN_TRACE_DEADLINE ? r->a : 0,
	                      .next = c->requests};
	c->requests = q;
	c->n_requests++;
}

static void tell_request(struct export *x, const struct client *c, const struct request *q,
                         uint64_t end_ns, const char *cut)
{
	struct rein_event e = {.category = "request",
	                       .name = "request",
	                       .begin_ns = q->begin_ns,
	                       .end_ns = end_ns,
	                       .request = q->id};
	rein_event_number(&e, "request", q->id);
	if (q->deadline_ns) {
		rein_event_number(
		    &e, "deadline_us",
		    q->deadline_ns > q->begin_ns ? (q->deadline_ns - q->begin_ns) / 1000 : 0);
		rein_event_bool(&e, "late", end_ns > q->deadline_ns);
	}
	if (cut)
		rein_event_text(&e, "cut", cut);
	rein_export_slice(x, rein_export_track(x, TRACK_REQUESTS, c->pid, 0), &e);
}

static void end_request(struct export *x, struct client *c, const struct rein_trace_record *r)
{
	struct request **at = &c->requests;
	while (*at && (*at)->id != r->func)
		at = &(*at)->next;
	if (!*at)
		return; /* it began before the recording */
	struct request *q = *at;
	*at = q->next;
	c->n_requests--;
	if (c->wanted)
		tell_request(x, c, q, r->begin, NULL);
	free(q);
}

/* ---------------------------------------------------------------- all */

void rein_export_tell(struct export *x, unsigned epoch, const struct rein_trace_record *r)
{
	struct client *c = rein_export_client(x, rein_who(epoch, r->stamp));
	rein_export_catch_up(x, r->begin);
	if (!c)
		return;
	switch (r->kind) {
	case REIN_TRACE_SUBMIT:
	case REIN_TRACE_SYNC:
		tell_call(x, c, r);
		break;
	case REIN_TRACE_GATE:
		tell_gate(x, epoch, c, r);
		break;
	case REIN_TRACE_BACKLOG:
		if (c->wanted)
			tell_backlog(x, c, r);
		break;
	case REIN_TRACE_ACTIVE:
	case REIN_TRACE_IDLE:
		tell_mark(x, c, r);
		break;
	case REIN_TRACE_REQUEST_BEGIN:
		open_request(x, c, r);
		break;
	case REIN_TRACE_REQUEST_END:
		end_request(x, c, r);
		break;
	case REIN_TRACE_GPU:
		tell_gpu(x, c, r);
		break;
	case REIN_TRACE_LOST:
		tell_lost(x, c, r);
		break;
	case REIN_TRACE_LEFT:
		tell_left(x, c, r);
		break;
	case REIN_TRACE_OFFCPU:
		if (c->wanted)
			tell_offcpu(x, c, r);
		break;
	case REIN_TRACE_HOLD:
		tell_hold(x, epoch, c, r);
		break;
	case REIN_TRACE_OUTSIDER:
		if (rein_export_wants(x, r->thread))
			tell_outsider(x, r);
		break;
	default:
		break;
	}
}

void rein_export_tell_rest(struct export *x)
{
	struct sweep *work = rein_export_sweep(x, TRACK_WORK, 0, "work");
	struct client *c;
	const char *why;
	rein_export_catch_up(x, UINT64_MAX);
	for (size_t i = 0; (c = rein_map_next(&x->clients, &i));) {
		uint64_t end_ns = end_of(x, c, &why);
		if (c->active_ns) {
			active(x, c, c->active_ns, end_ns, why);
			rein_export_leave(x, work, end_ns, c);
		}
		for (const struct request *q = c->wanted ? c->requests : NULL; q; q = q->next)
			tell_request(x, c, q, end_ns, why);
	}
}
