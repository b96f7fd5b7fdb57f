// SPDX-License-Identifier: Apache-2.0
/* config_int.h: between config.c, confkeys.c and whichever of confread.c and confread_none.c is
 * built. */
#ifndef REIN_CONFIG_INT_H
#define REIN_CONFIG_INT_H

#include "config.h"

/* The class of that name, made with the default settings if there is none; NULL: out of memory. */
struct rein_class *rein_config_class_get(struct rein_config *c, const char *name);
/* The parameters of a policy of the table, to be filled in; NULL: the table has grown too long. */
struct rein_policy_params *rein_config_params_of(struct rein_config *c,
                                                 const struct rein_policy_ops *ops);
/* Adds one file's classes, rules and settings; errors as rein_config_load(). */
REIN_MUST_CHECK int rein_config_read_file(struct rein_config *c, const char *path, char *err,
                                          size_t err_len);

/* ---- one file being read */
enum rein_section {
	REIN_IN_NONE,
	REIN_IN_DAEMON,
	REIN_IN_CLASS,
	REIN_IN_RULE,
	REIN_IN_POLICY,
	REIN_SECTIONS
};
#define REIN_SECTIONS_ACCEPTED "[daemon], [class NAME], [rule NAME], [policy NAME]"

struct rein_reading {
	struct rein_config *config;
	FILE *stream;
	const char *file;
	int line;
	enum rein_section kind;
	struct rein_class *class; /* of the section that the line is in */
	struct rein_rule *rule;
	const struct rein_policy_ops *policy;
	struct rein_policy_params *params;
	bool failed;
	char *err;
	size_t err_len;
};

/* confkeys.c: notes the first mistake: "file:line: " and what is wrong and accepted. */
REIN_PRINTF(2, 3) void rein_reading_fail(struct rein_reading *r, const char *fmt, ...);
/* One line `name = value` of r's section. */
void rein_reading_set(struct rein_reading *r, const char *section, const char *name,
                      const char *value);
bool rein_config_name_ok(const char *name);
/* "prio, fifo, …" */
void rein_policy_list(char *buf, size_t len);

#endif
