// SPDX-License-Identifier: Apache-2.0
/* config.c: loading a configuration, what it answers, and freeing it. Reading one file is
 * confread.c, or confread_none.c in builds without inih. */
#include "config_int.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "../common/clock.h"
#include "../policy/policy.h"

static const char *const mode_name[] = {"adaptive", "spin", "sleep"};

const char *rein_mode_name(enum rein_mode mode)
{
	return mode_name[mode];
}

int rein_mode_parse(const char *text, enum rein_mode *out)
{
	for (unsigned i = 0; i < REIN_ARRAY_LEN(mode_name); i++)
		if (strcmp(text, mode_name[i]) == 0) {
			*out = (enum rein_mode)i;
			return 0;
		}
	return -EINVAL;
}

int rein_duration_parse(const char *text, uint64_t *out_ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {{"ns", 1}, {"us", REIN_US}, {"ms", REIN_MS}, {"s", REIN_S}};
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	char *end;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	while (*end == ' ')
		end++;
	if (n == 0 && !*end) {
		*out_ns = 0;
		return 0;
	}
	for (unsigned i = 0; i < REIN_ARRAY_LEN(units); i++)
		if (strcmp(end, units[i].unit) == 0)
			return __builtin_mul_overflow((uint64_t)n, units[i].ns, out_ns) ? -EINVAL
			                                                                : 0;
	return -EINVAL;
}

/* ---------------------------------------------------------------- loading */

struct rein_class *rein_config_class_get(struct rein_config *c, const char *name)
{
	struct rein_class *class = NULL;
	HASH_FIND_STR(c->classes, name, class);
	if (class)
		return class;
	class = calloc(1, sizeof(*class));
	if (!class)
		return NULL;
	snprintf(class->name, sizeof(class->name), "%s", name);
	class->weight = REIN_POLICY_WEIGHT;
	class->backlog_ns = REIN_POLICY_BACKLOG_NS;
	class->backlog_launches = REIN_POLICY_BACKLOG_LAUNCHES;
	class->linger_us = REIN_POLICY_LINGER_US;
	class->patience_ns = REIN_LEASE_NS;
	HASH_ADD_STR(c->classes, name, class);
	if (!class->hh.tbl) {
		free(class);
		return NULL;
	}
	return class;
}

static int is_conf(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');
	return d->d_name[0] != '.' && dot && strcmp(dot, ".conf") == 0;
}

static int read_system(struct rein_config *c, char *err, size_t err_len)
{
	int result = 0;
	if (access(REIN_CONFIG_FILE, F_OK) == 0)
		result = rein_config_read_file(c, REIN_CONFIG_FILE, err, err_len);
	struct dirent **list = NULL;
	int n = scandir(REIN_CONFIG_DIR, &list, is_conf, alphasort);
	for (int i = 0; i < n; i++) {
		char path[512];
		snprintf(path, sizeof(path), "%s/%s", REIN_CONFIG_DIR, list[i]->d_name);
		if (!result)
			result = rein_config_read_file(c, path, err, err_len);
		free(list[i]);
	}
	free(list);
	return result;
}

static int check_rules(const struct rein_config *c, char *err, size_t err_len)
{
	for (const struct rein_rule *r = c->rules; r; r = r->hh.next) {
		if (!r->exe[0] && !r->has_user) {
			snprintf(err, err_len, "%s:%d: [rule %s] needs exe, user or both", r->file,
			         r->line, r->name);
			return -EINVAL;
		}
		if (!r->class_name[0] || !rein_config_class(c, r->class_name)) {
			snprintf(err, err_len, "%s:%d: [rule %s] %s%s%s", r->file, r->line, r->name,
			         r->class_name[0] ? "names the unknown class '" : "needs class",
			         r->class_name,
			         r->class_name[0] ? "'; add [class NAME] for it" : "");
			return -EINVAL;
		}
	}
	return 0;
}

int rein_config_load(struct rein_config **out, const char *path, char *err, size_t err_len)
{
	struct rein_config *c = calloc(1, sizeof(*c));
	int result = -ENOMEM;
	snprintf(err, err_len, "out of memory");
	if (c && rein_config_class_get(c, REIN_CLASS_DEFAULT)) {
		result = path ? rein_config_read_file(c, path, err, err_len)
		              : read_system(c, err, err_len);
		if (!result)
			result = check_rules(c, err, err_len);
	}
	if (result) {
		rein_config_free(c);
		return result;
	}
	err[0] = 0;
	*out = c;
	return 0;
}

/* ---------------------------------------------------------------- answers */

const struct rein_class *rein_config_class(const struct rein_config *c, const char *name)
{
	struct rein_class *found;
	HASH_FIND_STR(c->classes, name, found);
	return found;
}

static bool exe_matches(const char *pattern, const char *exe)
{
	const char *slash = strrchr(exe, '/');
	if (!strchr(pattern, '/') && slash)
		exe = slash + 1;
	return *exe && fnmatch(pattern, exe, 0) == 0;
}

const struct rein_class *rein_config_match(const struct rein_config *c, const char *exe, uid_t uid)
{
	const struct rein_class *class = NULL;
	for (const struct rein_rule *r = c->rules; r && !class; r = r->hh.next) {
		if (r->exe[0] && !exe_matches(r->exe, exe))
			continue;
		if (r->has_user && r->uid != uid)
			continue;
		class = rein_config_class(c, r->class_name);
	}
	return class ? class : rein_config_class(c, REIN_CLASS_DEFAULT);
}

void rein_config_free(struct rein_config *c)
{
	if (!c)
		return;
	struct rein_class *class, *next_class;
	HASH_ITER (hh, c->classes, class, next_class) {
		HASH_DEL(c->classes, class);
		free(class);
	}
	struct rein_rule *rule, *next_rule;
	HASH_ITER (hh, c->rules, rule, next_rule) {
		HASH_DEL(c->rules, rule);
		free(rule);
	}
	for (unsigned i = 0; i < c->n_files; i++)
		free(c->file[i]);
	free(c);
}
