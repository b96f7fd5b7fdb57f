// SPDX-License-Identifier: Apache-2.0
/* trace.c: event recording as the session thread sees it: whether it is on, for whom, for how long.
 * The records themselves go from the clients to the observer thread (profiler/collector.h). */
#include <string.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "../profiler/recording.h"
#include "server.h"

struct tracing {
	struct rein_collector *collector;
	bool on;
};

static void note_hold(void *arg, uint32_t client, const struct rein_hold *h, uint64_t until_ns)
{
	rein_collector_hold(arg, &(struct rein_hold_note){.client = client,
	                                                  .holder = h->holder,
	                                                  .mode = h->mode,
	                                                  .begin_ns = h->since_ns,
	                                                  .end_ns = until_ns});
}

/* Holds of before are not told of, and those that last when it ends are, so far. */
static void do_set_traced(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	const struct tracing *t = arg;
	rein_arbiter_set_traced(a, t->on, now_ns);
	a->note_hold = t->on ? note_hold : NULL;
	a->note_arg = t->collector;
}

/* Whoever writes has a reader: on in this order, off in the other. */
void rein_trace_apply(struct rein_server *s)
{
	bool on = s->config->events || s->trace_until_ns;
	struct tracing t = {.collector = s->collector, .on = on};
	rein_collector_watch(s->collector, (s->config->no_bpf ? 0 : REIN_LOOKOUT_BPF) |
	                                       (s->probe_until_ns ? REIN_LOOKOUT_OUTSIDERS : 0));
	if (on == s->traced)
		return;
	s->traced = on;
	if (on)
		rein_collector_record(s->collector, true);
	rein_loop_call(s->loop, do_set_traced, &t);
	if (!on) {
		rein_collector_record(s->collector, false);
		rein_admit_forget(s);
	}
	rein_info("event recording: %s", on ? "on" : "off");
}

static void say_warning(const char *line)
{
	rein_warn("%s", line);
}

int rein_trace_start(struct rein_server *s, char *err, size_t err_len)
{
	int result = rein_collector_start(&s->collector, s->options->run_dir, rein_identity_group(),
	                                  say_warning);
	if (result)
		snprintf(err, err_len, "cannot start the observer: %s", strerror(-result));
	else
		rein_trace_apply(s);
	return result;
}

void rein_trace_for(struct rein_server *s, uint64_t ns)
{
	uint64_t until_ns = rein_now_ns() + ns;
	if (until_ns > s->trace_until_ns)
		s->trace_until_ns = until_ns;
	rein_trace_apply(s);
}

static void do_set_cupti(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	rein_arbiter_set_cupti(a, *(const uint32_t *)arg);
}

/* Two who ask for different ones get all. */
void rein_trace_cupti_for(struct rein_server *s, uint64_t ns, uint32_t client)
{
	uint64_t until_ns = rein_now_ns() + ns;
	if (until_ns > s->cupti_until_ns)
		s->cupti_until_ns = until_ns;
	s->cupti_for = s->cupti_for && s->cupti_for != client ? UINT32_MAX : client;
	rein_loop_call(s->loop, do_set_cupti, &s->cupti_for);
}

void rein_trace_probe(struct rein_server *s, uint64_t ns)
{
	uint64_t until_ns = rein_now_ns() + ns;
	if (until_ns > s->probe_until_ns)
		s->probe_until_ns = until_ns;
	rein_trace_apply(s);
}

static bool is_over(uint64_t *until_ns, uint64_t now_ns)
{
	if (!*until_ns || now_ns < *until_ns)
		return false;
	*until_ns = 0;
	return true;
}

void rein_trace_tick(struct rein_server *s, uint64_t now_ns)
{
	if (s->cupti_until_ns && now_ns >= s->cupti_until_ns) {
		s->cupti_until_ns = 0;
		s->cupti_for = 0;
		rein_loop_call(s->loop, do_set_cupti, &s->cupti_for);
	}
	if (is_over(&s->trace_until_ns, now_ns) | is_over(&s->probe_until_ns, now_ns))
		rein_trace_apply(s);
	if (s->traced && s->n_clients)
		rein_admit_look(s, REIN_OUTSIDER_LOOK_NS, now_ns);
	else if (s->traced)
		rein_admit_forget(s); /* there is nobody whom they could delay */
}

void rein_trace_seen(struct rein_server *s, const struct rein_bystanders *seen, uint64_t seen_ns)
{
	if (s->traced)
		rein_collector_seen(s->collector, seen, seen_ns);
}

void rein_trace_join(struct rein_server *s, struct rein_client *c)
{
	if (c->rings_fd < 0)
		return;
	c->source = rein_collector_join(
	    s->collector, &(struct rein_source_info){.id = c->member.arbiter.policy.id,
	                                             .pid = c->who.pid,
	                                             .uid = c->who.uid,
	                                             .prio = c->member.arbiter.policy.prio,
	                                             .name = c->member.arbiter.name,
	                                             .class_name = c->class_name,
	                                             .rings_fd = c->rings_fd,
	                                             .status_fd = c->status_fd});
}
