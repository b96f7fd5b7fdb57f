// SPDX-License-Identifier: Apache-2.0
/* config.c: what a loaded configuration answers, and freeing it. Reading it is confread.c. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "../common/clock.h"

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
