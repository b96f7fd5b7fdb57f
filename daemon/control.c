// SPDX-License-Identifier: Apache-2.0
/* control.c: the requests of docs/control.md: one function an op, one row in the table. */
#include "control.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "../common/version.h"
#include "server.h"
#include "snapshot.h"

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

static json_t *op_status(struct rein_server *s, const json_t *request)
{
	struct rein_snapshot *snap = rein_snapshot_take(s);
	if (!snap)
		return NULL;
	json_t *devices = json_array();
	for (unsigned i = 0; i < snap->n_devices; i++) {
		char uuid[REIN_UUID_LEN];
		rein_uuid_text(uuid, snap->device[i].uuid);
		json_array_append_new(devices, json_pack("{s:s, s:i, s:i}", "uuid", uuid, "clients",
		                                         (int)snap->device[i].clients, "active",
		                                         (int)snap->device[i].active));
	}
	struct rein_loop_stats stats;
	rein_loop_stats(s->loop, &stats);
	rein_snapshot_free(snap);
	return json_pack("{s:b, s:i, s:s, s:f, s:s, s:s, s:s, s:o, s:i, s:i, s:I, s:I, s:I, s:o}",
	                 "ok", 1, "pid", (int)getpid(), "version", REIN_VERSION, "uptime_s",
	                 (double)(rein_now_ns() - s->started_ns) / 1e9, "policy", s->policy->name,
	                 "mode", rein_mode_name(rein_loop_mode(s->loop)), "run_dir",
	                 s->options->run_dir, "config", files_json(s->config), "clients",
	                 (int)s->n_clients, "clients_max", REIN_CLIENTS_MAX, "decisions",
	                 (json_int_t)stats.decisions, "decide_p50_ns",
	                 (json_int_t)stats.decide_p50_ns, "decide_p99_ns",
	                 (json_int_t)stats.decide_p99_ns, "devices", devices);
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
	json_t *counts =
	    json_pack("{s:I, s:I, s:I, s:f, s:I, s:f, s:I, s:f, s:f, s:o, s:o}", "submissions",
	              (json_int_t)c->submissions, "requests", (json_int_t)c->requests, "gate_waits",
	              (json_int_t)c->gate_waits, "gate_wait_ms", (double)c->gate_wait_ns / 1e6,
	              "backlog_waits", (json_int_t)c->backlog_waits, "backlog_wait_ms",
	              (double)c->backlog_wait_ns / 1e6, "lapses", (json_int_t)c->lapses, "used_ms",
	              (double)c->used_ns / 1e6, "share", c->share, "held_for",
	              holder_json(s, c->holder), "declared", declared_json(c));
	json_object_update(o, counts);
	json_decref(counts);
	return o;
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

static json_t *op_set(struct rein_server *s, const json_t *request)
{
	json_int_t id = 0, pid = 0, prio = REIN_PRIO_UNSET, weight = 0;
	json_t *bad = NULL;
	const json_t *class_json = json_object_get(request, "class");
	const char *class_name = json_string_value(class_json);
	if (!integer_of(request, "id", 1, UINT32_MAX, &id, &bad) ||
	    !integer_of(request, "pid", 1, INT32_MAX, &pid, &bad) ||
	    !integer_of(request, "prio", 0, REIN_PRIO_MAX, &prio, &bad) ||
	    !integer_of(request, "weight", 1, REIN_WEIGHT_MAX, &weight, &bad))
		return bad;
	if (!id && !pid)
		return no(EINVAL, "set needs pid or id");
	if (prio == REIN_PRIO_UNSET && !weight && !class_json)
		return no(EINVAL, "set needs prio, weight or class");
	if (class_json && (!class_name || !rein_config_class(s->config, class_name)))
		return no(EINVAL,
		          "unknown class '%.40s'; accepted: the classes of rein.conf (op classes "
		          "lists them)",
		          class_name ? class_name : "");
	struct rein_client *c = client_by(s, (uint32_t)id, (pid_t)pid);
	if (!c)
		return no(ESRCH, "no client with %s %lld", id ? "id" : "pid",
		          (long long)(id ? id : pid));
	char old_class[REIN_CLASS_LEN];
	memcpy(old_class, c->set_class, sizeof(old_class));
	int old_prio = c->set_prio;
	uint32_t old_weight = c->set_weight;
	if (class_name) {
		snprintf(c->set_class, sizeof(c->set_class), "%s", class_name);
		c->set_prio = REIN_PRIO_UNSET; /* the class' own, unless said too */
		c->set_weight = 0;
	}
	if (prio != REIN_PRIO_UNSET)
		c->set_prio = (int)prio;
	if (weight)
		c->set_weight = (uint32_t)weight;
	char why[160] = "";
	int err = rein_server_regrant(s, c, why, sizeof(why));
	if (err) {
		memcpy(c->set_class, old_class, sizeof(c->set_class));
		c->set_prio = old_prio;
		c->set_weight = old_weight;
		return no(err, "%s", why);
	}
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

static json_t *op_classes(struct rein_server *s, const json_t *request)
{
	json_t *classes = json_array(), *rules = json_array();
	for (const struct rein_class *c = s->config->classes; c; c = c->hh.next)
		json_array_append_new(
		    classes, json_pack("{s:s, s:i, s:i, s:f, s:i, s:i, s:f, s:b}", "name", c->name,
		                       "prio", c->prio, "weight", (int)c->weight, "backlog_us",
		                       (double)c->backlog_ns / 1e3, "backlog_launches",
		                       (int)c->backlog_launches, "linger_us", (int)c->linger_us,
		                       "patience_ms", (double)c->patience_ns / 1e6, "gate_implicit",
		                       c->gate_implicit));
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
    {"stop", true, op_stop},
};

static json_t *serve(struct rein_server *s, const struct rein_identity *who, const json_t *request)
{
	const char *op = json_string_value(json_object_get(request, "op"));
	if (!op)
		return no(EINVAL, "a request is an object with \"op\"");
	for (unsigned i = 0; i < REIN_ARRAY_LEN(ops); i++) {
		if (strcmp(ops[i].name, op) != 0)
			continue;
		bool changes = ops[i].changes || json_object_get(request, "set");
		if (changes && !who->privileged)
			return no(EPERM,
			          "%s needs root, the daemon's user or the group " REIN_GROUP, op);
		return ops[i].run(s, request);
	}
	return no(EINVAL,
	          "unknown op '%.40s'; accepted: status, clients, set, policy, classes, "
	          "reload, stop",
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
