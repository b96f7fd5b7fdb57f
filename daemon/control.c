// SPDX-License-Identifier: Apache-2.0
/* control.c: the requests of docs/control.md: one function an op, one row in the table. */
#include "control.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "../common/rm.h"
#include "../common/sms.h"
#include "../common/version.h"
#include "server.h"
#include "snapshot.h"
#include "supervise.h"

#define TRACE_MAX_MS 3600000 /* an hour at a time */
#define SCHEMA_VERSION 1
#define ANSWER_ROOM 1024 /* of the answer, for what is not the list */

/* An answer that says no; the line is for people. */
REIN_PRINTF(2, 3) static json_t *no(int err, const char *fmt, ...)
{
	char text[REIN_CONFIG_ERROR_LEN + 64];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rein_printable(text, sizeof(text), text);
	const char *code = strerrorname_np(err < 0 ? -err : err);
	return json_pack("{s:b, s:s, s:s}", "ok", 0, "error", text, "code", code ? code : "EIO");
}

static json_t *yes(void)
{
	return json_pack("{s:b}", "ok", 1);
}

static json_t *files_json(const struct rein_config *c)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < c->n_files; i++) {
		char name[512];
		rein_printable(name, sizeof(name), c->file[i]);
		json_array_append_new(list, json_string(name));
	}
	return list;
}

/* ---------------------------------------------------------------- status */

/* Why the policy is not the configured one; "" if it is, or was chosen since. */
static const char *policy_why(const struct rein_server *s)
{
	return s->policy == s->options->policy ? rein_supervise_why() : "";
}

/* What may keep a program from the GPU. By recipe TIMESLICE its contexts are not held: its turns
 * are short. */
enum { GATE_QUEUE = 1, GATE_CONTEXT = 2, GATE_TIMESLICE = 4 };

static unsigned gates_of(const struct rein_gates *g)
{
	unsigned gates = g->can & REIN_CAN_QUEUE ? GATE_QUEUE : 0;
	if (g->can & REIN_CAN_CONTEXT)
		gates |=
		    g->context_recipe == REIN_RM_RECIPE_TIMESLICE ? GATE_TIMESLICE : GATE_CONTEXT;
	return gates;
}

static json_t *gates_json(unsigned gates)
{
	static const char *const names[] = {"queue", "context", "timeslice"};
	json_t *list = json_pack("[s]", "launch");
	for (unsigned i = 0; i < REIN_ARRAY_LEN(names); i++)
		if (gates >> i & 1)
			json_array_append_new(list, json_string(names[i]));
	return list;
}

/* Those of any GPU. */
static json_t *all_gates_json(const struct rein_gates_of *g, bool *calibrated)
{
	unsigned gates = gates_of(&g->other);
	*calibrated = g->other.proven;
	for (unsigned i = 0; i < g->n; i++) {
		gates |= gates_of(&g->device[i].gates);
		*calibrated |= g->device[i].gates.proven;
	}
	return gates_json(gates);
}

static json_t *op_status(struct rein_server *s, const json_t *request)
{
	bool calibrated;
	struct rein_snapshot *snap = rein_snapshot_take(s);
	if (!snap)
		return NULL;
	json_t *devices = json_array();
	for (unsigned i = 0; i < snap->n_devices; i++) {
		char uuid[REIN_UUID_LEN];
		rein_uuid_text(uuid, snap->device[i].uuid);
		json_array_append_new(devices,
		                      json_pack("{s:s, s:i, s:i, s:o, s:b}", "uuid", uuid,
		                                "clients", (int)snap->device[i].clients, "active",
		                                (int)snap->device[i].active, "gates",
		                                gates_json(gates_of(&snap->device[i].gates)),
		                                "calibrated", snap->device[i].gates.proven));
	}
	struct rein_loop_stats stats;
	rein_loop_stats(s->loop, &stats);
	rein_snapshot_free(snap);
	json_t *gates = all_gates_json(&s->gates, &calibrated);
	return json_pack(
	    "{s:b, s:i, s:i, s:s, s:f, s:s, s:s, s:s, s:s, s:o, s:i, s:i, s:I, s:I, "
	    "s:I, s:o, s:o, s:b, s:s}",
	    "ok", 1, "pid", (int)rein_supervise_pid(), "worker_pid", (int)getpid(), "version",
	    REIN_VERSION, "uptime_s", (double)(rein_now_ns() - s->started_ns) / 1e9, "policy",
	    s->policy->name, "policy_why", policy_why(s), "mode",
	    rein_mode_name(rein_loop_mode(s->loop)), "run_dir", s->options->run_dir, "config",
	    files_json(s->config), "clients", (int)s->n_clients, "clients_max", REIN_CLIENTS_MAX,
	    "decisions", (json_int_t)stats.decisions, "decide_p50_ns",
	    (json_int_t)stats.decide_p50_ns, "decide_p99_ns", (json_int_t)stats.decide_p99_ns,
	    "devices", devices, "gates", gates, "calibrated", calibrated, "metrics",
	    s->metrics.fd >= 0 ? s->config->metrics_text : "off");
}

/* ---------------------------------------------------------------- clients */

static struct rein_client *client_by(struct rein_server *s, uint32_t id, pid_t pid)
{
	for (struct rein_conn *c = s->conns; c; c = c->next)
		if (c->client &&
		    (id ? c->client->member.arbiter.policy.id == id : c->who.pid == pid))
			return c->client;
	return NULL;
}

static json_t *devices_json(const struct rein_snapshot *snap, const struct rein_snapshot_client *c)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < snap->n_devices; i++) {
		char uuid[REIN_UUID_LEN];
		if (!(c->devices >> i & 1))
			continue;
		rein_uuid_text(uuid, snap->device[i].uuid);
		json_array_append_new(list, json_string(uuid));
	}
	return list;
}

static json_t *holder_json(struct rein_server *s, uint32_t id)
{
	const struct rein_client *h = id ? client_by(s, id, 0) : NULL;
	if (!h)
		return json_null();
	return json_pack("{s:i, s:i, s:s}", "id", (int)id, "pid", (int)h->who.pid, "name",
	                 h->member.arbiter.name);
}

/* What the program declared through rein.h or NVTX; null: nothing. Times from now, in ms. */
static json_t *declared_json(const struct rein_snapshot_client *c)
{
	double now_ns = (double)rein_now_ns();
	if (!c->declares)
		return json_null();
	return json_pack(
	    "{s:I, s:I, s:b, s:o, s:o}", "open", (json_int_t)c->requests_open, "late",
	    (json_int_t)c->late, "background", c->background, "age_ms",
	    c->arrival_ns ? json_real((now_ns - (double)c->arrival_ns) / 1e6) : json_null(),
	    "deadline_ms",
	    c->deadline_ns ? json_real(((double)c->deadline_ns - now_ns) / 1e6) : json_null());
}

static json_t *ms_json(uint64_t ns)
{
	return ns ? json_real((double)ns / 1e6) : json_null();
}

/* A reservation and what became of it; null: none is wanted. */
static json_t *reservation_json(const struct rein_client *k)
{
	static const char *const states[] = {[REIN_PROMISE_UNASKED] = "none",
	                                     [REIN_PROMISE_GIVEN] = "given",
	                                     [REIN_PROMISE_NONE] = "none",
	                                     [REIN_PROMISE_LATER] = "refused",
	                                     [REIN_PROMISE_REFUSED] = "refused"};
	const struct rein_reservation *r = &k->reservation;
	if (!rein_timing_any(&r->wanted))
		return json_null();
	return json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:s}", "deadline_ms",
	                 ms_json(r->wanted.deadline_ns), "period_ms", ms_json(r->wanted.period_ns),
	                 "budget_ms", ms_json(r->wanted.budget_ns), "guarantee",
	                 r->withdrawn ? "withdrawn" : states[r->promise], "response_ms",
	                 ms_json(r->response_ns), "later_ms", ms_json(r->later_ns), "why", r->why);
}

static json_t *measured_json(const struct rein_measured *m)
{
	return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "met", (json_int_t)m->met, "missed",
	                 (json_int_t)m->missed, "late_max_ms", ms_json(m->late_max_ns),
	                 "response_p99_ms", ms_json(m->response_p99_ns), "cost_ms",
	                 ms_json(m->cost_ns), "longest_ms", ms_json(m->longest_ns));
}

/* The last seconds; p99 and culprit null: no request ended, it waited for nobody. */
static json_t *recent_json(const struct rein_recent_figures *r)
{
	const struct rein_recent_holder *h = &r->culprit;
	json_t *culprit =
	    h->id ? json_pack("{s:I, s:i, s:s, s:f}", "id", (json_int_t)h->id, "pid", (int)h->pid,
	                      "name", h->name, "wait_ms", (double)h->ns / 1e6)
		  : json_null();
	return json_pack("{s:f, s:I, s:o, s:f, s:f, s:o}", "window_s", (double)r->window_ns / 1e9,
	                 "requests", (json_int_t)r->requests, "p99_ms", ms_json(r->response_p99_ns),
	                 "gate_wait_ms", (double)r->wait_ns / 1e6, "gate_wait_share",
	                 r->window_ns ? (double)r->wait_ns / (double)r->window_ns : 0.0, "culprit",
	                 culprit);
}

/* What it says of its true GPU times. */
static const char *cupti_text(uint32_t state)
{
	static const char *const states[] = {[REIN_CUPTI_OFF] = "off",
	                                     [REIN_CUPTI_STARTING] = "starting",
	                                     [REIN_CUPTI_ON] = "on",
	                                     [REIN_CUPTI_TAKEN] = "taken",
	                                     [REIN_CUPTI_FAILED] = "failed"};
	return state < REIN_ARRAY_LEN(states) ? states[state] : "off";
}

static json_t *client_json(struct rein_server *s, const struct rein_snapshot *snap,
                           const struct rein_snapshot_client *c)
{
	const struct rein_client *k = client_by(s, c->id, 0);
	if (!k)
		return NULL;
	const char *state =
	    c->held ? (c->waiting ? "waiting" : "held") : (c->working ? "running" : "idle");
	json_t *o = json_pack(
	    "{s:I, s:i, s:I, s:s, s:s, s:s, s:i, s:i, s:s, s:b, s:o, s:f}", "id", (json_int_t)c->id,
	    "pid", (int)k->who.pid, "uid", (json_int_t)k->who.uid, "name", k->member.arbiter.name,
	    "exe", k->who.exe, "class", k->class_name, "prio", c->prio, "weight", (int)c->weight,
	    "state", state, "metered", c->metered, "devices", devices_json(snap, c), "joined_s",
	    (double)(rein_now_ns() - k->joined_ns) / 1e9);
	static const char *const modes[] = {[REIN_HOLD_NONE] = "none",
	                                    [REIN_HOLD_LAUNCH] = "launch",
	                                    [REIN_HOLD_QUEUE] = "queue",
	                                    [REIN_HOLD_CONTEXT] = "context"};
	json_t *counts = json_pack(
	    "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:f, s:I, s:f, s:f, s:o, s:o, s:o}",
	    "gate", modes[c->mode], "points", (json_int_t)c->n.points, "context_holds",
	    (json_int_t)c->n.context_holds, "preemptions", (json_int_t)c->n.preemptions,
	    "submissions", (json_int_t)c->n.submissions, "requests", (json_int_t)c->n.requests,
	    "gate_waits", (json_int_t)c->n.gate_waits, "gate_wait_ms",
	    (double)c->n.gate_wait_ns / 1e6, "backlog_waits", (json_int_t)c->n.backlog_waits,
	    "backlog_wait_ms", (double)c->n.backlog_wait_ns / 1e6, "lapses",
	    (json_int_t)c->n.lapses, "used_ms", (double)c->n.used_ns / 1e6, "share", c->share,
	    "held_for", holder_json(s, c->holder), "declared", declared_json(c), "recent",
	    recent_json(&c->recent));
	json_t *timing =
	    json_pack("{s:i, s:s, s:s, s:f, s:f, s:f, s:s, s:o, s:o}", "latency_nice",
	              c->latency_nice, "band", rein_band_name(c->band), "job", k->job, "backlog_us",
	              (double)c->backlog_ns / 1e3, "delays_ms", (double)c->delay_ns / 1e6,
	              "longest_kernel_ms", (double)c->measured.longest_ns / 1e6, "longest_kernel",
	              c->measured.longest_name, "reservation", reservation_json(k), "measured",
	              measured_json(&c->measured));
	char sms[REIN_SMS_TEXT_LEN];
	json_t *slice = json_pack("{s:s, s:I, s:I, s:s}", "sms", rein_sms_text(sms, c->sms),
	                          "sms_now", (json_int_t)c->sms_now, "sms_of",
	                          (json_int_t)c->sms_of, "cupti", cupti_text(c->cupti));
	json_object_update(o, slice);
	json_decref(slice);
	json_object_update(o, counts);
	json_object_update(o, timing);
	json_decref(counts);
	json_decref(timing);
	return o;
}

/* Processes that use the GPU and are no clients; looked for only while somebody reserves, or
 * events are recorded. */
static json_t *bystanders_json(const struct rein_server *s)
{
	const struct rein_bystanders *b = &s->admit.bystanders;
	json_t *list = json_array();
	for (unsigned i = 0; i < b->n && i < REIN_BYSTANDERS_MAX; i++)
		json_array_append_new(list, json_pack("{s:i, s:s}", "pid", (int)b->process[i].pid,
		                                      "name", b->process[i].comm));
	return list;
}

/* As many as fit into an answer; "next" is what to pass as "after" for the rest. */
static json_t *op_clients(struct rein_server *s, const json_t *request)
{
	json_int_t after = json_integer_value(json_object_get(request, "after"));
	struct rein_snapshot *snap = rein_snapshot_take(s);
	json_t *list = json_array(), *answer = yes();
	if (!snap || !answer)
		return NULL;
	size_t used = ANSWER_ROOM;
	for (unsigned i = 0; i < snap->n_clients; i++) {
		if (snap->client[i].id <= after)
			continue;
		json_t *o = client_json(s, snap, &snap->client[i]);
		size_t size = o ? json_dumpb(o, NULL, 0, JSON_COMPACT) + 1 : 0;
		if (used + size > REIN_CONTROL_MAX) {
			json_decref(o);
			json_object_set_new(answer, "next", json_integer(snap->client[i - 1].id));
			break;
		}
		used += size;
		if (o)
			json_array_append_new(list, o);
	}
	rein_snapshot_free(snap);
	json_object_set_new(answer, "clients", list);
	json_object_set_new(answer, "bystanders", bystanders_json(s));
	json_object_set_new(answer, "policy", json_string(s->policy->name));
	json_object_set_new(answer, "policy_why", json_string(policy_why(s)));
	return answer;
}

/* ---------------------------------------------------------------- set */

/* An integer member within limits; `fallback` if absent. false: *out is an error answer. */
static bool integer_of(const json_t *request, const char *key, json_int_t min, json_int_t max,
                       json_int_t *value, json_t **out)
{
	const json_t *v = json_object_get(request, key);
	if (!v)
		return true;
	if (json_is_integer(v) && json_integer_value(v) >= min && json_integer_value(v) <= max) {
		*value = json_integer_value(v);
		return true;
	}
	*out =
	    no(EINVAL, "bad %s; accepted: a whole number from %lld to %lld%s", key, (long long)min,
	       (long long)max, strcmp(key, "prio") == 0 ? ", higher is more urgent" : "");
	return false;
}

/* A time in ms; *has says whether it is there. false: *out is an error answer. */
static bool time_of(const json_t *request, const char *key, uint64_t *ns, bool *has, json_t **out)
{
	const json_t *v = json_object_get(request, key);
	double ms = json_number_value(v);
	if (!v)
		return true;
	if (!json_is_number(v) || !(ms >= 0 && ms <= (double)REIN_TIMING_MAX_NS / 1e6)) {
		*out = no(EINVAL, "bad %s; accepted: 0 to %g, in ms", key,
		          (double)REIN_TIMING_MAX_NS / 1e6);
		return false;
	}
	*ns = (uint64_t)(ms * 1e6);
	*has = true;
	return true;
}

/* What of the request concerns the reservation, on top of what is wanted now. A 0 gives it up. */
static bool timing_of(const json_t *request, const struct rein_client *c,
                      struct rein_client_set *set, json_t **out)
{
	struct rein_timing t = c->reservation.wanted;
	bool deadline = false, period = false, budget = false;
	char why[160];
	if (!time_of(request, "deadline_ms", &t.deadline_ns, &deadline, out) ||
	    !time_of(request, "period_ms", &t.period_ns, &period, out) ||
	    !time_of(request, "budget_ms", &t.budget_ns, &budget, out))
		return false;
	if (!deadline && !period && !budget)
		return true;
	if ((deadline && !t.deadline_ns) || (period && !t.period_ns) || (budget && !t.budget_ns))
		t = (struct rein_timing){0};
	if (rein_timing_check(&t, why, sizeof(why))) {
		*out = no(EINVAL, "%s", why);
		return false;
	}
	set->has_timing = true;
	set->timing = t;
	return true;
}

/* The request's changes in *set, but for timing. false: *out is an error answer. */
static bool changes_of(const struct rein_server *s, const json_t *request,
                       struct rein_client_set *set, json_t **out)
{
	json_int_t prio = REIN_PRIO_UNSET, weight = 0, nice = REIN_NICE_UNSET;
	const json_t *class_json = json_object_get(request, "class");
	const char *class_name = json_string_value(class_json);
	if (!integer_of(request, "prio", 0, REIN_PRIO_MAX, &prio, out) ||
	    !integer_of(request, "weight", 1, REIN_WEIGHT_MAX, &weight, out) ||
	    !integer_of(request, "latency_nice", REIN_NICE_MIN, REIN_NICE_MAX, &nice, out))
		return false;
	if (class_json && (!class_name || !rein_config_class(s->config, class_name))) {
		char known[100];
		rein_identity_classes(s->config, known, sizeof(known));
		*out = no(EINVAL, "unknown class '%.40s'; known: %s", class_name ? class_name : "",
		          known);
		return false;
	}
	const json_t *sms_json = json_object_get(request, "sms");
	const char *sms_text = json_string_value(sms_json);
	uint32_t sms = 0;
	if (sms_json && (!sms_text || rein_sms_parse(sms_text, &sms))) {
		*out = no(EINVAL, "bad sms; accepted: %s", REIN_SMS_ACCEPTED);
		return false;
	}
	if (class_name) { /* everything is the class' own, unless said too */
		*set = (struct rein_client_set){.prio = REIN_PRIO_UNSET,
		                                .latency_nice = REIN_NICE_UNSET};
		snprintf(set->class_name, sizeof(set->class_name), "%s", class_name);
	}
	if (prio != REIN_PRIO_UNSET)
		set->prio = (int)prio;
	if (weight)
		set->weight = (uint32_t)weight;
	if (nice != REIN_NICE_UNSET)
		set->latency_nice = (int)nice;
	if (sms)
		set->sms = sms;
	return true;
}

static json_t *changed_client(struct rein_server *s, const struct rein_client *c)
{
	struct rein_snapshot *snap = rein_snapshot_take(s);
	json_t *answer = NULL;
	for (unsigned i = 0; snap && i < snap->n_clients && !answer; i++)
		if (snap->client[i].id == c->member.arbiter.policy.id)
			answer = client_json(s, snap, &snap->client[i]);
	rein_snapshot_free(snap);
	if (!answer)
		return no(ESRCH, "the program has just ended");
	json_object_set_new(answer, "ok", json_true());
	return answer;
}

static json_t *op_set(struct rein_server *s, const json_t *request)
{
	static const char *const keys[] = {"prio",        "weight",    "class",     "latency_nice",
	                                   "deadline_ms", "period_ms", "budget_ms", "sms"};
	json_int_t id = 0, pid = 0;
	json_t *bad = NULL;
	unsigned said = 0;
	if (!integer_of(request, "id", 1, UINT32_MAX, &id, &bad) ||
	    !integer_of(request, "pid", 1, INT32_MAX, &pid, &bad))
		return bad;
	if (!id && !pid)
		return no(EINVAL, "set needs pid or id");
	for (unsigned i = 0; i < REIN_ARRAY_LEN(keys); i++)
		said += json_object_get(request, keys[i]) != NULL;
	if (!said)
		return no(EINVAL, "set needs prio, weight, class, latency_nice, deadline_ms, "
		                  "period_ms, budget_ms or sms");
	struct rein_client_set set = {0};
	if (!changes_of(s, request, &set, &bad)) /* a mistake is one whoever is meant */
		return bad;
	struct rein_client *c = client_by(s, (uint32_t)id, (pid_t)pid);
	if (!c)
		return no(ESRCH, "no client with %s %lld", id ? "id" : "pid",
		          (long long)(id ? id : pid));
	struct rein_client_set old = c->set;
	set = old;
	if (!changes_of(s, request, &set, &bad) || !timing_of(request, c, &set, &bad))
		return bad;
	char why[320] = "";
	c->set = set;
	int err = rein_server_regrant(s, c, true, why, sizeof(why));
	if (err) {
		c->set = old;
		return no(err, "%s", why);
	}
	return changed_client(s, c);
}

/* ---------------------------------------------------------------- the rest */

static json_t *op_policy(struct rein_server *s, const json_t *request)
{
	const json_t *set = json_object_get(request, "set");
	if (set) {
		const char *name = json_string_value(set);
		const struct rein_policy_ops *ops = name ? rein_policy_find(name) : NULL;
		if (!ops)
			return no(EINVAL, "unknown policy '%s'; `rein policy` lists them",
			          name ? name : "");
		int err = rein_server_set_policy(s, ops);
		if (err)
			return no(err, "cannot set the policy: %s", strerror(-err));
	}
	json_t *available = json_array();
	for (unsigned i = 0; rein_policies[i]; i++)
		json_array_append_new(available,
		                      json_pack("{s:s, s:s}", "name", rein_policies[i]->name,
		                                "summary", rein_policies[i]->summary));
	return json_pack("{s:b, s:s, s:o}", "ok", 1, "policy", s->policy->name, "available",
	                 available);
}

static json_t *class_json(const struct rein_class *c)
{
	enum rein_band band = rein_config_band(c, &c->timing, c->prio);
	char sms[REIN_SMS_TEXT_LEN];
	return json_pack(
	    "{s:s, s:i, s:i, s:i, s:s, s:o, s:o, s:o, s:s, s:f, s:i, s:i, s:f, s:b, s:s, s:b}",
	    "name", c->name, "prio", c->prio, "weight", (int)c->weight, "latency_nice",
	    c->latency_nice, "band", rein_band_name(band), "deadline_ms",
	    ms_json(c->timing.deadline_ns), "period_ms", ms_json(c->timing.period_ns), "budget_ms",
	    ms_json(c->timing.budget_ns), "budget_mode", c->budget_hard ? "hard" : "soft",
	    "backlog_us", (double)c->backlog_ns / 1e3, "backlog_launches", (int)c->backlog_launches,
	    "linger_us", (int)c->linger_us, "patience_ms", (double)c->patience_ns / 1e6,
	    "gate_implicit", c->gate_implicit, "sms", rein_sms_text(sms, c->sms), "cupti",
	    c->cupti);
}

static json_t *op_classes(struct rein_server *s, const json_t *request)
{
	json_t *classes = json_array(), *rules = json_array();
	for (const struct rein_class *c = s->config->classes; c; c = c->hh.next)
		json_array_append_new(classes, class_json(c));
	for (const struct rein_rule *r = s->config->rules; r; r = r->hh.next) {
		char exe[sizeof(r->exe)], user[sizeof(r->user)];
		rein_printable(exe, sizeof(exe), r->exe);
		rein_printable(user, sizeof(user), r->user);
		json_array_append_new(rules,
		                      json_pack("{s:s, s:s, s:s, s:s}", "name", r->name, "exe", exe,
		                                "user", user, "class", r->class_name));
	}
	return json_pack("{s:b, s:o, s:o}", "ok", 1, "classes", classes, "rules", rules);
}

static json_t *op_reload(struct rein_server *s, const json_t *request)
{
	char err[REIN_CONFIG_ERROR_LEN];
	int result = rein_server_reload(s, err, sizeof(err));
	if (result) {
		rein_error("%s; the old configuration stays", err);
		return no(result, "%s; the old configuration stays", err);
	}
	return json_pack("{s:b, s:o}", "ok", 1, "config", files_json(s->config));
}

/* Whose true GPU times `trace` asks for; 0: nobody's. false: *out is an error answer. */
static bool cupti_of(struct rein_server *s, const json_t *request, uint32_t *client, json_t **out)
{
	json_int_t pid = 0;
	if (!json_is_true(json_object_get(request, "cupti")))
		return true;
	if (!integer_of(request, "pid", 1, INT32_MAX, &pid, out))
		return false;
	const struct rein_client *c = pid ? client_by(s, 0, (pid_t)pid) : NULL;
	if (!json_object_get(request, "record_ms"))
		*out = no(EINVAL, "cupti needs record_ms: it tells of what comes");
	else if (pid && !c)
		*out = no(ESRCH, "no client with pid %lld", (long long)pid);
	*client = c ? c->member.arbiter.policy.id : UINT32_MAX;
	return *out == NULL;
}

/* What is seen by BPF, and what is not: not seen is not the same as nothing to see. */
static json_t *watch_json(const struct rein_lookout_report *w)
{
	return json_pack("{s:b, s:b, s:I, s:I, s:s}", "offcpu", w->sees & REIN_SEES_OFFCPU,
	                 "outsiders", w->sees & REIN_SEES_OUTSIDERS, "uprobes",
	                 (json_int_t)w->probed, "uprobe_ns", (json_int_t)w->cost_ns, "why", w->why);
}

/* What was recorded is in the files when this answers; with record_ms, and from now on for so long.
 */
static json_t *op_trace(struct rein_server *s, const json_t *request)
{
	json_int_t record_ms = 0;
	json_t *bad = NULL;
	uint32_t cupti_for = 0;
	struct rein_collector_stats stats;
	if (!integer_of(request, "record_ms", 1, TRACE_MAX_MS, &record_ms, &bad) ||
	    !cupti_of(s, request, &cupti_for, &bad))
		return bad;
	bool uprobes = json_is_true(json_object_get(request, "uprobes"));
	if (uprobes && !record_ms)
		return no(EINVAL, "uprobes goes with record_ms, for so long");
	if (uprobes)
		rein_trace_probe(s, (uint64_t)record_ms * REIN_MS);
	if (record_ms)
		rein_trace_for(s, (uint64_t)record_ms * REIN_MS);
	if (cupti_for)
		rein_trace_cupti_for(s, (uint64_t)record_ms * REIN_MS, cupti_for);
	rein_collector_sync(s->collector);
	rein_collector_stats(s->collector, &stats);
	return json_pack("{s:b, s:b, s:b, s:b, s:I, s:I, s:I, s:o}", "ok", 1, "recording",
	                 stats.recording, "failing", stats.failing, "configured", s->config->events,
	                 "records", (json_int_t)stats.records, "lost", (json_int_t)stats.lost,
	                 "bytes", (json_int_t)stats.bytes, "bpf", watch_json(&stats.lookout));
}

static json_t *op_stop(struct rein_server *s, const json_t *request)
{
	rein_info("asked to stop: ending");
	s->stopping = true;
	return yes();
}

static const struct {
	const char *name;
	bool changes; /* needs privilege; `policy` only with `set` */
	json_t *(*run)(struct rein_server *s, const json_t *request);
} ops[] = {
    {"status", false, op_status}, {"clients", false, op_clients}, {"set", true, op_set},
    {"policy", false, op_policy}, {"classes", false, op_classes}, {"reload", true, op_reload},
    {"trace", false, op_trace},   {"stop", true, op_stop},
};

static json_t *serve(struct rein_server *s, const struct rein_identity *who, const json_t *request)
{
	const char *op = json_string_value(json_object_get(request, "op"));
	if (!op)
		return no(EINVAL, "a request is an object with \"op\"");
	for (unsigned i = 0; i < REIN_ARRAY_LEN(ops); i++) {
		if (strcmp(ops[i].name, op) != 0)
			continue;
		bool changes = ops[i].changes || json_object_get(request, "set") ||
		               json_object_get(request, "record_ms");
		if (changes && !who->privileged)
			return no(EPERM,
			          "%s needs root, the daemon's user or the group " REIN_GROUP, op);
		return ops[i].run(s, request);
	}
	return no(EINVAL,
	          "unknown op '%.40s'; accepted: status, clients, set, policy, classes, "
	          "reload, trace, stop",
	          op);
}

char *rein_control_answer(struct rein_server *s, const struct rein_identity *who, const char *text,
                          size_t len)
{
	json_error_t why;
	json_t *request = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	json_t *answer = json_is_object(request)
	                     ? serve(s, who, request)
	                     : no(EINVAL, "not a JSON object: %s", request ? "" : why.text);
	json_decref(request);
	if (!answer)
		return NULL;
	json_object_set_new(answer, "schema_version", json_integer(SCHEMA_VERSION));
	char *out = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	if (out && strlen(out) > REIN_CONTROL_MAX) {
		free(out);
		out = strdup("{\"schema_version\":1,\"ok\":false,\"code\":\"EMSGSIZE\","
		             "\"error\":\"the answer does not fit into a packet\"}");
	}
	return out;
}
