// SPDX-License-Identifier: Apache-2.0
/* confread.c: reads rein.conf through inih: files, lines and sections. What a line says is
 * confkeys.c's. */
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <string.h>

#include "config_int.h"

#define LINE_MAX_LEN 197 /* inih's line buffer is 200 */

/* ---------------------------------------------------------------- sections */

static struct rein_rule *rule_get(struct rein_reading *r, const char *name)
{
	struct rein_rule *rule = NULL;
	HASH_FIND_STR(r->config->rules, name, rule);
	if (rule)
		return rule;
	rule = calloc(1, sizeof(*rule));
	if (!rule)
		return NULL;
	snprintf(rule->name, sizeof(rule->name), "%.*s", REIN_CLASS_LEN - 1, name);
	rule->file = r->file;
	rule->line = r->line;
	HASH_ADD_STR(r->config->rules, name, rule);
	if (!rule->hh.tbl) {
		free(rule);
		return NULL;
	}
	return rule;
}

static void policy_begin(struct rein_reading *r, const char *name)
{
	char known[256];
	r->policy = rein_policy_find(name);
	r->params = r->policy ? rein_config_params_of(r->config, r->policy) : NULL;
	rein_policy_list(known, sizeof(known));
	if (!r->params)
		rein_reading_fail(r, "unknown policy '%s'; accepted: %s", name, known);
	else
		r->kind = REIN_IN_POLICY;
}

static void section_begin(struct rein_reading *r, const char *section)
{
	r->kind = REIN_IN_NONE;
	r->class = NULL;
	r->rule = NULL;
	bool is_class = strncmp(section, "class ", 6) == 0;
	bool is_rule = strncmp(section, "rule ", 5) == 0;
	if (strcmp(section, "daemon") == 0) {
		r->kind = REIN_IN_DAEMON;
		return;
	}
	if (strncmp(section, "policy ", 7) == 0) {
		policy_begin(r, section + 7);
		return;
	}
	if (!is_class && !is_rule) {
		rein_reading_fail(r, "unknown section [%s]; accepted: " REIN_SECTIONS_ACCEPTED,
		                  section);
		return;
	}
	const char *name = section + (is_class ? 6 : 5);
	if (!rein_config_name_ok(name)) {
		rein_reading_fail(
		    r, "bad name in [%s]; accepted: 1 to %d letters, digits, '_', '.', '-'",
		    section, REIN_CLASS_LEN - 1);
		return;
	}
	if (is_class)
		r->class = rein_config_class_get(r->config, name);
	else
		r->rule = rule_get(r, name);
	if (!r->class && !r->rule)
		rein_reading_fail(r, "out of memory");
	else
		r->kind = is_class ? REIN_IN_CLASS : REIN_IN_RULE;
	if (r->class) {
		r->class->file = r->file;
		r->class->line = r->line;
	}
}

/* ---------------------------------------------------------------- lines and files */

/* inih's handler knows neither the line nor an empty section, so both are seen here. */
static void see_section(struct rein_reading *r, const char *text)
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
	struct rein_reading *r = stream;
	int n = 0, c = EOF;
	r->line++;
	while (n < LINE_MAX_LEN && n < room - 1 && (c = fgetc(r->stream)) != EOF && c != '\n') {
		if (c == 0) {
			rein_reading_fail(r, "not a text file: it holds a NUL byte");
			return NULL;
		}
		buf[n++] = (char)c;
	}
	if (r->failed || (n == 0 && c == EOF))
		return NULL;
	if (c != EOF && c != '\n') {
		rein_reading_fail(r, "line too long; accepted: at most %d characters",
		                  LINE_MAX_LEN - 1);
		return NULL;
	}
	buf[n] = 0;
	see_section(r, buf);
	return r->failed ? NULL : buf;
}

static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct rein_reading *r = user;
	if (!r->failed)
		rein_reading_set(r, section, name, value);
	return 1;
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
	struct rein_reading r = {
	    .config = c, .stream = f, .file = name, .err = err, .err_len = err_len};
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
		rein_reading_fail(&r, "not understood; accepted: [section] or key = value");
	}
	return r.failed ? -EINVAL : 0;
}
