// SPDX-License-Identifier: Apache-2.0
/*
 * confread.c: reads rein.conf through inih. inih splits lines; the tables below know which
 * sections and keys exist and what each accepts, so that every error can say so.
 */
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>

#include "../common/clock.h"
#include "../policy/policy.h"
#include "config_int.h"

#define LINE_MAX_LEN 197 /* inih's line buffer is 200 */

struct reading {
	struct rein_config *config;
	FILE *stream;
	const char *file;
	int line;
	enum { IN_NONE, IN_DAEMON, IN_CLASS, IN_RULE } kind;
	struct rein_class *class;
	struct rein_rule *rule;
	bool failed;
	char *err;
	size_t err_len;
};

REIN_PRINTF(2, 3) static void fail(struct reading *r, const char *fmt, ...)
{
	if (r->failed)
		return;
	r->failed = true;
	int n = snprintf(r->err, r->err_len, "%s:%d: ", r->file, r->line);
	va_list ap;
	va_start(ap, fmt);
	if (n > 0 && (size_t)n < r->err_len)
		vsnprintf(r->err + n, r->err_len - (size_t)n, fmt, ap);
	va_end(ap);
}

/* ---------------------------------------------------------------- sections */

static struct rein_rule *rule_get(struct reading *r, const char *name)
{
	struct rein_rule *rule = NULL;
	HASH_FIND_STR(r->config->rules, name, rule);
	if (rule)
		return rule;
	rule = calloc(1, sizeof(*rule));
	if (!rule)
		return NULL;
	snprintf(rule->name, sizeof(rule->name), "%s", name);
	rule->file = r->file;
	rule->line = r->line;
	HASH_ADD_STR(r->config->rules, name, rule);
	if (!rule->hh.tbl) {
		free(rule);
		return NULL;
	}
	return rule;
}

static bool name_ok(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n >= REIN_CLASS_LEN)
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_.-", *name))
			return false;
	return true;
}

static void section_begin(struct reading *r, const char *section)
{
	r->kind = IN_NONE;
	r->class = NULL;
	r->rule = NULL;
	bool is_class = strncmp(section, "class ", 6) == 0;
	bool is_rule = strncmp(section, "rule ", 5) == 0;
	if (strcmp(section, "daemon") == 0) {
		r->kind = IN_DAEMON;
		return;
	}
	if (!is_class && !is_rule) {
		fail(r, "unknown section [%s]; accepted: [daemon], [class NAME], [rule NAME]",
		     section);
		return;
	}
	const char *name = section + (is_class ? 6 : 5);
	if (!name_ok(name)) {
		fail(r, "bad name in [%s]; accepted: 1 to %d letters, digits, '_', '.', '-'",
		     section, REIN_CLASS_LEN - 1);
		return;
	}
	if (is_class)
		r->class = rein_config_class_get(r->config, name);
	else
		r->rule = rule_get(r, name);
	if (!r->class && !r->rule)
		fail(r, "out of memory");
	else
		r->kind = is_class ? IN_CLASS : IN_RULE;
}

/* ---------------------------------------------------------------- values */

static bool number(struct reading *r, const char *key, const char *value, unsigned long min,
                   unsigned long max, const char *note, unsigned long *out)
{
	char *end;
	errno = 0;
	unsigned long n = strtoul(value, &end, 10);
	if (isdigit((unsigned char)*value) && !*end && !errno && n >= min && n <= max) {
		*out = n;
		return true;
	}
	fail(r, "bad %s '%s'; accepted: a whole number from %lu to %lu%s", key, value, min, max,
	     note);
	return false;
}

static bool duration(struct reading *r, const char *key, const char *value, uint64_t min_ns,
                     uint64_t max_ns, const char *range, uint64_t *out_ns)
{
	uint64_t ns;
	if (rein_duration_parse(value, &ns) == 0 && ns >= min_ns && ns <= max_ns) {
		*out_ns = ns;
		return true;
	}
	fail(r, "bad %s '%s'; accepted: a time with its unit (ns, us, ms, s), %s", key, value,
	     range);
	return false;
}

static void list_policies(char *buf, size_t len)
{
	buf[0] = 0;
	for (unsigned i = 0; rein_policies[i]; i++) {
		size_t n = strlen(buf);
		snprintf(buf + n, len - n, "%s%s", i ? ", " : "", rein_policies[i]->name);
	}
}

static void daemon_policy(struct reading *r, const char *value)
{
	char known[256];
	list_policies(known, sizeof(known));
	r->config->policy = rein_policy_find(value);
	if (!r->config->policy)
		fail(r, "unknown policy '%s'; accepted: %s", value, known);
}

static void daemon_mode(struct reading *r, const char *value)
{
	if (rein_mode_parse(value, &r->config->mode))
		fail(r, "unknown mode '%s'; accepted: adaptive, spin, sleep", value);
	r->config->has_mode = true;
}

static void daemon_ageing(struct reading *r, const char *value)
{
	(void)duration(r, "ageing", value, 0, 3600 * REIN_S, "at most 3600s; 0 = off",
	               &r->config->ageing_ns);
}

static void class_priority(struct reading *r, const char *value)
{
	unsigned long n;
	if (number(r, "priority", value, 0, REIN_PRIO_MAX, " (higher is more urgent)", &n))
		r->class->prio = (int)n;
}

static void class_weight(struct reading *r, const char *value)
{
	unsigned long n;
	if (number(r, "weight", value, 1, REIN_WEIGHT_MAX, "", &n))
		r->class->weight = (uint32_t)n;
}

static void class_backlog(struct reading *r, const char *value)
{
	(void)duration(r, "backlog", value, REIN_US, 10 * REIN_S, "1us to 10s",
	               &r->class->backlog_ns);
}

static void class_backlog_launches(struct reading *r, const char *value)
{
	unsigned long n;
	if (number(r, "backlog_launches", value, 1, 1000000, "", &n))
		r->class->backlog_launches = (uint32_t)n;
}

static void class_linger(struct reading *r, const char *value)
{
	uint64_t ns;
	if (duration(r, "linger", value, 0, REIN_S, "at most 1s", &ns))
		r->class->linger_us = (uint32_t)(ns / REIN_US);
}

static void class_patience(struct reading *r, const char *value)
{
	(void)duration(r, "patience", value, 10 * REIN_MS, 60 * REIN_S, "10ms to 60s",
	               &r->class->patience_ns);
}

static void class_gate(struct reading *r, const char *value)
{
	r->class->gate_implicit = strcmp(value, "implicit") == 0;
	if (!r->class->gate_implicit && strcmp(value, "work") != 0)
		fail(r, "unknown gate '%s'; accepted: work, implicit", value);
}

static void rule_exe(struct reading *r, const char *value)
{
	if (!*value)
		fail(r, "empty exe; accepted: a path or a file name, with * ? [] as in the shell");
	snprintf(r->rule->exe, sizeof(r->rule->exe), "%s", value);
}

static void rule_user(struct reading *r, const char *value)
{
	const struct passwd *pw = getpwnam(value);
	char *end = NULL;
	errno = 0;
	unsigned long uid = isdigit((unsigned char)*value) ? strtoul(value, &end, 10) : 0;
	if (pw)
		uid = pw->pw_uid;
	else if (!end || *end || errno || uid >= UINT32_MAX) {
		fail(r, "unknown user '%s'; accepted: a user name or a number", value);
		return;
	}
	r->rule->uid = (uid_t)uid;
	r->rule->has_user = true;
	snprintf(r->rule->user, sizeof(r->rule->user), "%s", value);
}

static void rule_class(struct reading *r, const char *value)
{
	if (!name_ok(value))
		fail(r, "bad class name '%s'; accepted: the NAME of a [class NAME]", value);
	else
		snprintf(r->rule->class_name, sizeof(r->rule->class_name), "%s", value);
}

/* ---------------------------------------------------------------- keys */

struct key {
	const char *name;
	void (*set)(struct reading *r, const char *value);
};

static const struct key daemon_keys[] = {
    {"policy", daemon_policy}, {"mode", daemon_mode}, {"ageing", daemon_ageing}, {NULL, NULL}};
static const struct key class_keys[] = {
    {"priority", class_priority}, {"weight", class_weight},
    {"backlog", class_backlog},   {"backlog_launches", class_backlog_launches},
    {"linger", class_linger},     {"patience", class_patience},
    {"gate", class_gate},         {NULL, NULL}};
static const struct key rule_keys[] = {
    {"exe", rule_exe}, {"user", rule_user}, {"class", rule_class}, {NULL, NULL}};
static const struct key *const keys_of[] = {
    [IN_DAEMON] = daemon_keys, [IN_CLASS] = class_keys, [IN_RULE] = rule_keys};

static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	if (r->failed)
		return 1;
	if (r->kind == IN_NONE) {
		fail(r,
		     "'%s' stands before any section; accepted: [daemon], [class NAME], "
		     "[rule NAME]",
		     name);
		return 1;
	}
	const struct key *keys = keys_of[r->kind];
	char known[256] = "";
	for (const struct key *k = keys; k->name; k++) {
		if (strcmp(k->name, name) == 0) {
			k->set(r, value);
			return 1;
		}
		size_t n = strlen(known);
		snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", k->name);
	}
	fail(r, "unknown key '%s' in [%s]; accepted: %s", name, section, known);
	return 1;
}

/* ---------------------------------------------------------------- lines and files */

/* inih's handler knows neither the line nor an empty section, so both are seen here. */
static void see_section(struct reading *r, const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	const char *end = *text == '[' ? strchr(text, ']') : NULL;
	if (!end)
		return;
	char section[LINE_MAX_LEN + 3];
	size_t n = (size_t)(end - text - 1);
	memcpy(section, text + 1, n);
	section[n] = 0;
	section_begin(r, section);
}

static char *read_line(char *buf, int room, void *stream)
{
	struct reading *r = stream;
	int n = 0, c = EOF;
	r->line++;
	while (n < LINE_MAX_LEN && n < room - 1 && (c = fgetc(r->stream)) != EOF && c != '\n') {
		if (c == 0) {
			fail(r, "not a text file: it holds a NUL byte");
			return NULL;
		}
		buf[n++] = (char)c;
	}
	if (r->failed || (n == 0 && c == EOF))
		return NULL;
	if (c != EOF && c != '\n') {
		fail(r, "line too long; accepted: at most %d characters", LINE_MAX_LEN - 1);
		return NULL;
	}
	buf[n] = 0;
	see_section(r, buf);
	return r->failed ? NULL : buf;
}

int rein_config_read_file(struct rein_config *c, const char *path, char *err, size_t err_len)
{
	REIN_AUTO_FCLOSE FILE *f = fopen(path, "re");
	if (!f) {
		int e = errno;
		snprintf(err, err_len, "cannot read the configuration %s: %s", path, strerror(e));
		return -e;
	}
	if (c->n_files == REIN_CONFIG_FILES_MAX) {
		snprintf(err, err_len, "too many configuration files; accepted: at most %d",
		         REIN_CONFIG_FILES_MAX);
		return -E2BIG;
	}
	char *name = strdup(path);
	if (!name)
		return -ENOMEM;
	c->file[c->n_files++] = name;
	struct reading r = {.config = c, .stream = f, .file = name, .err = err, .err_len = err_len};
	ini_allow_multiline = false;
	int line = ini_parse_stream(read_line, &r, on_key, &r);
	if (ferror(f)) {
		snprintf(err, err_len, "cannot read the configuration %s: %s", path,
		         strerror(errno));
		return -EIO;
	}
	if (line && (!r.failed || line < r.line)) {
		r.failed = false;
		r.line = line;
		fail(&r, "not understood; accepted: [section] or key = value");
	}
	return r.failed ? -EINVAL : 0;
}
