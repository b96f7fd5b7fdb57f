// SPDX-License-Identifier: Apache-2.0
/* trace.c: event recording as the session thread sees it: whether it is on, for whom, for how long.
 * The records themselves go from the clients to the observer thread (profiler/collector.h). */
#include <string.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "server.h"

static void do_set_traced(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	rein_arbiter_set_traced(a, *(const bool *)arg, now_ns);
}

/* Whoever writes has a reader: on in this order, off in the other. */
void rein_trace_apply(struct rein_server *s)
{
	bool on = s->config->events || s->trace_until_ns;
	if (on == s->traced)
		return;
	s->traced = on;
	if (on)
		rein_collector_record(s->collector, true);
	rein_loop_call(s->loop, do_set_traced, &on);
	if (!on)
		rein_collector_record(s->collector, false);
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

void rein_trace_tick(struct rein_server *s, uint64_t now_ns)
{
	if (!s->trace_until_ns || now_ns < s->trace_until_ns)
		return;
	s->trace_until_ns = 0;
	rein_trace_apply(s);
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
	                                             .rings_fd = c->rings_fd,
	                                             .status_fd = c->status_fd});
}
