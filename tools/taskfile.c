// SPDX-License-Identifier: Apache-2.0
/*
 * taskfile.c: reads a set of tasks through inih. inih splits lines; the tables below know the
 * sections' keys and what each accepts, so that every error can say so.
 */
#include "taskfile.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/duration.h"
#include "cli.h"

#define NOT_SAID (-1)

struct reading {
	struct rein_taskfile *file;
	struct rein_task *task; /* of the current section */
	enum { IN_NONE, IN_POLICY, IN_TASK } kind;
	FILE *stream;
	const char *path;
	int line, task_line; /* where the current section begins */
	bool failed;
	char *err;
	size_t err_len;
};

REIN_PRINTF(2, 3) static void fail(struct reading *r, const char *fmt, ...)
{
	if (r->failed)
		return;
	r->failed = true;
	int n = snprintf(r->err, r->err_len, "%s:%d: ", r->path, r->line);
	va_list ap;
	va_start(ap, fmt);
	if (n > 0 && (size_t)n < r->err_len)
		vsnprintf(r->err + n, r->err_len - (size_t)n, fmt, ap);
	va_end(ap);
}

/* ---------------------------------------------------------------- values */

static void duration(struct reading *r, const char *key, const char *value, uint64_t *out_ns)
{
	uint64_t ns;
	if (rein_duration_parse(value, &ns) == 0 && ns <= 3600 * REIN_S)
		*out_ns = ns;
	else
		fail(r,
		     "bad %s '%s'; accepted: a time with its unit (ns, us, ms, s), at most 3600s",
		     key, value);
}

void rein_taskfile_policies(char *list, size_t len)
{
	list[0] = 0;
	for (unsigned i = 0; rein_policies[i]; i++) {
		size_t n = strlen(list);
		snprintf(list + n, len - n, "%s%s", i ? ", " : "", rein_policies[i]->name);
	}
}

static void policy_name(struct reading *r, const char *value)
{
	char known[256];
	rein_taskfile_policies(known, sizeof(known));
	r->file->ops = rein_policy_find(value);
	if (!r->file->ops)
		fail(r, "unknown policy '%s'; accepted: %s", value, known);
}

static void policy_switch(struct reading *r, const char *value)
{
	duration(r, "switch_cost", value, &r->file->params.switch_ns);
}

static void policy_reaction(struct reading *r, const char *value)
{
	duration(r, "reaction", value, &r->file->params.reaction_ns);
}

static void policy_timeslice(struct reading *r, const char *value)
{
	duration(r, "timeslice", value, &r->file->params.timeslice_ns);
}

static void task_period(struct reading *r, const char *value)
{
	duration(r, "period", value, &r->task->period_ns);
}

static void task_deadline(struct reading *r, const char *value)
{
	duration(r, "deadline", value, &r->task->deadline_ns);
}

static void task_budget(struct reading *r, const char *value)
{
	duration(r, "budget", value, &r->task->cost_ns);
}

static void task_longest(struct reading *r, const char *value)
{
	duration(r, "longest", value, &r->task->longest_ns);
}

static void task_backlog(struct reading *r, const char *value)
{
	duration(r, "backlog", value, &r->task->backlog_ns);
}

static void task_linger(struct reading *r, const char *value)
{
	duration(r, "linger", value, &r->task->linger_ns);
}

static void task_priority(struct reading *r, const char *value)
{
	long n;
	if (rein_cli_number(value, 0, 99, &n))
		r->task->prio = (int)n;
	else
		fail(r, "bad priority '%s'; accepted: 0 to 99 (higher is more urgent)", value);
}

static void task_band(struct reading *r, const char *value)
{
	static const char *const names[] = {"realtime", "interactive", "batch", "idle"};
	for (int i = 0; i < REIN_BANDS; i++)
		if (strcmp(value, names[i]) == 0) {
			r->task->band = i;
			return;
		}
	fail(r, "unknown band '%s'; accepted: realtime, interactive, batch, idle", value);
}

struct key {
	const char *name;
	void (*set)(struct reading *r, const char *value);
};

static const struct key policy_keys[] = {{"name", policy_name},
                                         {"switch_cost", policy_switch},
                                         {"reaction", policy_reaction},
                                         {"timeslice", policy_timeslice},
                                         {NULL, NULL}};
static const struct key task_keys[] = {
    {"period", task_period},     {"deadline", task_deadline}, {"budget", task_budget},
    {"priority", task_priority}, {"band", task_band},         {"longest", task_longest},
    {"backlog", task_backlog},   {"linger", task_linger},     {NULL, NULL}};

static int on_key(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *r = arg;
	const struct key *k = r->kind == IN_TASK ? task_keys : policy_keys;
	char known[256] = "";
	if (r->kind == IN_NONE)
		fail(r, "'%s' stands before any section; accepted: [policy], [task NAME]", name);
	for (; !r->failed && k->name; k++) {
		if (strcmp(k->name, name) == 0) {
			k->set(r, value);
			return !r->failed;
		}
		size_t n = strlen(known);
		snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", k->name);
	}
	fail(r, "unknown key '%s' in [%s]; accepted: %s", name, section, known);
	return 0;
}

/* ---------------------------------------------------------------- sections and lines */

/* All of a task has been read: does it make sense? The band is what a client gets of whom nothing
 * else is said (rein.conf does the same). */
static void task_end(struct reading *r)
{
	struct rein_task *t = r->task;
	int line = r->line;
	if (!t || r->failed)
		return;
	r->line = r->task_line;
	if ((t->deadline_ns || t->cost_ns) && !t->period_ns)
		fail(r, "[task %s] needs a period: the least time between two requests", t->name);
	else if (t->period_ns && !t->cost_ns)
		fail(r, "[task %s] needs a budget: the GPU time of a request", t->name);
	else if (t->cost_ns > (t->deadline_ns ? t->deadline_ns : t->period_ns))
		fail(r, "[task %s] has a budget above its %s", t->name,
		     t->deadline_ns ? "deadline" : "period");
	if (t->band == NOT_SAID)
		t->band = t->period_ns  ? REIN_BAND_REALTIME
		          : t->prio > 0 ? REIN_BAND_INTERACTIVE
		                        : REIN_BAND_BATCH;
	r->line = line;
	r->task = NULL;
}

static void task_begin(struct reading *r, const char *name)
{
	struct rein_taskfile *f = r->file;
	size_t len = strlen(name);
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_.-", *c))
			len = 0;
	if (len == 0 || len >= CLI_TASK_NAME_LEN) {
		fail(r, "bad name in [task %s]; accepted: 1 to %d letters, digits, '_', '.', '-'",
		     name, CLI_TASK_NAME_LEN - 1);
		return;
	}
	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->name[i], name) == 0) {
			fail(r, "a second [task %s]; accepted: one section for each task", name);
			return;
		}
	if (f->n == REIN_POLICY_TASKS_MAX) {
		fail(r, "too many tasks; accepted: at most %d", REIN_POLICY_TASKS_MAX);
		return;
	}
	memcpy(f->name[f->n], name, len + 1);
	r->task = &f->task[f->n];
	*r->task = (struct rein_task){.id = f->n + 1,
	                              .name = f->name[f->n],
	                              .band = NOT_SAID,
	                              .backlog_ns = REIN_POLICY_BACKLOG_NS,
	                              .linger_ns = REIN_POLICY_LINGER_US * REIN_US};
	r->kind = IN_TASK;
	r->task_line = r->line;
	f->n++;
}

/* inih's handler sees neither the line nor a section without keys, so both are seen here. */
static void see_section(struct reading *r, char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	char *end = *text == '[' ? strchr(text, ']') : NULL;
	if (!end)
		return;
	char section[INI_MAX_LINE];
	snprintf(section, sizeof(section), "%.*s", (int)(end - text - 1), text + 1);
	task_end(r);
	if (strcmp(section, "policy") == 0)
		r->kind = IN_POLICY;
	else if (strncmp(section, "task ", 5) == 0)
		task_begin(r, section + 5);
	else
		fail(r, "unknown section [%s]; accepted: [policy], [task NAME]", section);
}

static char *read_line(char *buf, int len, void *arg)
{
	struct reading *r = arg;
	if (r->failed || !fgets(buf, len, r->stream))
		return NULL;
	r->line++;
	if (!strchr(buf, '\n') && !feof(r->stream)) {
		fail(r, "line too long; accepted: at most %d characters", len - 2);
		return NULL;
	}
	see_section(r, buf);
	return r->failed ? NULL : buf;
}

/* ---------------------------------------------------------------- the file */

int rein_taskfile_read(struct rein_taskfile *f, const char *path, char *err, size_t err_len)
{
	memset(f, 0, sizeof(*f));
	f->params = (struct rein_policy_params){.switch_ns = REIN_ADMISSION_SWITCH_NS,
	                                        .reaction_ns = REIN_ADMISSION_REACTION_NS,
	                                        .timeslice_ns = REIN_ADMISSION_TIMESLICE_NS};
	REIN_AUTO_FCLOSE FILE *stream = fopen(path, "re");
	if (!stream) {
		int e = errno;
		snprintf(err, err_len, "cannot read %s: %s", path, strerror(e));
		return -e;
	}
	struct reading r = {
	    .file = f, .stream = stream, .path = path, .err = err, .err_len = err_len};
	ini_allow_multiline = false;
	int line = ini_parse_stream(read_line, &r, on_key, &r);
	if (!r.failed && ferror(stream)) {
		snprintf(err, err_len, "cannot read %s: %s", path, strerror(errno));
		return -EIO;
	}
	if (!r.failed && line) {
		r.line = line;
		fail(&r, "not understood; accepted: [section] or key = value");
	}
	task_end(&r);
	if (f->n == 0)
		fail(&r, "no [task NAME] in it; accepted: at least one");
	return r.failed ? -EINVAL : 0;
}
