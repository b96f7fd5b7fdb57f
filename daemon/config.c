// SPDX-License-Identifier: Apache-2.0
/* config.c: loading a configuration, what it answers, and freeing it. Reading one file is
 * confread.c, or confread_none.c in builds without inih. */
#include "config_int.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "../common/clock.h"

static const char *const mode_name[] = {"adaptive", "spin", "sleep"};
static const char *const band_name[REIN_BANDS] = {"realtime", "interactive", "batch", "idle"};

const char *rein_band_name(enum rein_band band)
{
	return band_name[band];
}

int rein_band_parse(const char *text, enum rein_band *out)
{
	for (unsigned i = 0; i < REIN_BANDS; i++)
		if (strcmp(text, band_name[i]) == 0) {
			*out = (enum rein_band)i;
			return 0;
		}
	return -EINVAL;
}

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
	class->band = REIN_BAND_AUTO;
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

static int check_classes(const struct rein_config *c, char *err, size_t err_len)
{
	char why[160];
	for (struct rein_class *class = c->classes; class; class = class->hh.next)
		if (rein_timing_check(&class->timing, why, sizeof(why))) {
			snprintf(err, err_len, "%s:%d: [class %s]: %s", class->file, class->line,
			         class->name, why);
			return -EINVAL;
		}
	return 0;
}

static unsigned policy_index(const struct rein_policy_ops *ops)
{
	unsigned i = 0;
	while (rein_policies[i] && rein_policies[i] != ops)
		i++;
	return i;
}

struct rein_policy_params *rein_config_params_of(struct rein_config *c,
                                                 const struct rein_policy_ops *ops)
{
	unsigned i = policy_index(ops);
	return i < REIN_CONFIG_POLICIES_MAX ? &c->params[i] : NULL;
}

/* What admission assumes of a machine that was not calibrated. */
static void assume(struct rein_config *c)
{
	for (unsigned i = 0; i < REIN_CONFIG_POLICIES_MAX; i++) {
		c->params[i].switch_ns = REIN_ADMISSION_SWITCH_NS;
		c->params[i].reaction_ns = REIN_ADMISSION_REACTION_NS;
		c->params[i].timeslice_ns = REIN_ADMISSION_TIMESLICE_NS;
	}
}

/* [daemon] ageing is how it was said when `prio` was the only policy that had parameters. */
static void settle_ageing(struct rein_config *c)
{
	static const char *const with[] = {"prio", "classes"};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(with); i++) {
		const struct rein_policy_ops *ops = rein_policy_find(with[i]);
		struct rein_policy_params *p = ops ? rein_config_params_of(c, ops) : NULL;
		if (p && !p->ageing_ns)
			p->ageing_ns = c->ageing_ns;
	}
}

int rein_config_load(struct rein_config **out, const char *path, char *err, size_t err_len)
{
	struct rein_config *c = calloc(1, sizeof(*c));
	int result = -ENOMEM;
	snprintf(err, err_len, "out of memory");
	if (c && rein_config_class_get(c, REIN_CLASS_DEFAULT)) {
		assume(c);
		result = path ? rein_config_read_file(c, path, err, err_len)
		              : read_system(c, err, err_len);
		if (!result)
			result = check_rules(c, err, err_len);
		if (!result)
			result = check_classes(c, err, err_len);
	}
	if (result) {
		rein_config_free(c);
		return result;
	}
	settle_ageing(c);
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

const struct rein_policy_params *rein_config_params(const struct rein_config *c,
                                                    const struct rein_policy_ops *ops)
{
	static const struct rein_policy_params none;
	unsigned i = policy_index(ops);
	return i < REIN_CONFIG_POLICIES_MAX && rein_policies[i] ? &c->params[i] : &none;
}

enum rein_band rein_config_band(const struct rein_class *class, const struct rein_timing *timing,
                                int prio)
{
	if (class->band != REIN_BAND_AUTO)
		return (enum rein_band) class->band;
	if (rein_timing_any(timing))
		return REIN_BAND_REALTIME;
	return prio > 0 ? REIN_BAND_INTERACTIVE : REIN_BAND_BATCH;
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
