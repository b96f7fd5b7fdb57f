// SPDX-License-Identifier: Apache-2.0
/*
 * config.h: rein.conf: classes, rules, the policies' parameters and the daemon's own settings.
 *
 * A configuration is read whole into a fresh struct rein_config or not at all: the caller swaps
 * pointers, so a reload that fails leaves the running one untouched. Immutable once loaded.
 * The class "default" (priority 0) always exists. Rules are tried in the order of the files and
 * of the lines; the first whose conditions all match gives the class.
 */
#ifndef REIN_CONFIG_H
#define REIN_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../common/abi.h"
#include "../common/duration.h"
#include "../common/timing.h"
#include "../common/util.h"
#include "../policy/policy.h"
#include "hash.h"
#include "metrics_at.h"

#define REIN_CONFIG_FILE "/etc/rein/rein.conf"
#define REIN_CONFIG_DIR "/etc/rein/rein.conf.d"
#define REIN_CONFIG_FILES_MAX 64
#define REIN_CONFIG_ERROR_LEN 512
#define REIN_CLASS_DEFAULT "default"
#define REIN_CONFIG_POLICIES_MAX 16
/* By what is declared: timing, else a priority above 0, else neither. */
#define REIN_BAND_AUTO (-1)

enum rein_mode { REIN_MODE_ADAPTIVE, REIN_MODE_SPIN, REIN_MODE_SLEEP };

struct rein_class {
	char name[REIN_CLASS_LEN];
	int prio;
	uint32_t weight;
	int latency_nice;
	int band;                  /* enum rein_band, or REIN_BAND_AUTO */
	struct rein_timing timing; /* what each program of the class reserves; all 0: nothing */
	bool budget_hard;
	uint32_t sms; /* as in sms.h; 0: the whole device */
	uint64_t backlog_ns;
	uint32_t backlog_launches;
	uint32_t linger_us;
	uint64_t patience_ns; /* how long others are held for it while it makes no progress */
	bool gate_implicit;   /* its allocations, frees and module loads pass the gate too */
	bool cupti;           /* true GPU times, while events are recorded */
	const char *file;     /* where it begins, for messages; NULL: nowhere */
	int line;
	UT_hash_handle hh; /* by name; iteration is in order of definition */
};

struct rein_rule {
	char name[REIN_CLASS_LEN];
	char exe[256]; /* fnmatch pattern on the full path, or on the base name if without '/' */
	char user[64];
	bool has_user;
	uid_t uid;
	char class_name[REIN_CLASS_LEN];
	const char *file; /* where it begins, for messages */
	int line;
	UT_hash_handle hh; /* by name; iteration is in order of definition */
};

struct rein_config {
	const struct rein_policy_ops *policy; /* NULL: not said */
	bool has_mode;
	enum rein_mode mode;
	bool events; /* event records are written and kept */
	bool no_bpf; /* and nothing beyond what clients write */
	struct rein_metrics_at metrics;
	char metrics_text[160]; /* as it was said */
	bool has_gates;
	uint32_t gates;     /* REIN_CAN_*: besides the launch gate no other may hold (profile.h) */
	uint64_t ageing_ns; /* of [daemon]: as [policy prio] and [policy classes] have it */
	struct rein_policy_params
	    params[REIN_CONFIG_POLICIES_MAX]; /* in the order of rein_policies */
	struct rein_class *classes;
	struct rein_rule *rules;
	char *file[REIN_CONFIG_FILES_MAX]; /* what was read, in order */
	unsigned n_files;
};

/* `path` NULL: the system's files, those that exist. On an error *out is untouched and `err`
 * holds one line: file, line, what is wrong, what is accepted. */
REIN_MUST_CHECK int rein_config_load(struct rein_config **out, const char *path, char *err,
                                     size_t err_len);
void rein_config_free(struct rein_config *c);

/* NULL if there is none of that name. */
const struct rein_class *rein_config_class(const struct rein_config *c, const char *name);
/* The class that the rules give to a program; never NULL. `exe` may be "". */
const struct rein_class *rein_config_match(const struct rein_config *c, const char *exe, uid_t uid);

/* The parameters of a policy of the table; never NULL. */
const struct rein_policy_params *rein_config_params(const struct rein_config *c,
                                                    const struct rein_policy_ops *ops);
/* The band of a client with this timing and priority, as the class says or as declared. */
enum rein_band rein_config_band(const struct rein_class *class, const struct rein_timing *timing,
                                int prio);
const char *rein_band_name(enum rein_band band);
/* 0, or -EINVAL. */
REIN_MUST_CHECK int rein_band_parse(const char *text, enum rein_band *out);

const char *rein_mode_name(enum rein_mode mode);
/* 0, or -EINVAL. */
REIN_MUST_CHECK int rein_mode_parse(const char *text, enum rein_mode *out);

#endif
