// SPDX-License-Identifier: Apache-2.0
/* options.h: reind's command line. */
#ifndef REIN_OPTIONS_H
#define REIN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

struct rein_options {
	bool background;
	const char *config_file;              /* NULL: the system's */
	char run_dir[96];                     /* room for a socket's name in sockaddr_un is 108 */
	const struct rein_policy_ops *policy; /* NULL: not said; wins over the configuration */
	bool has_mode;
	enum rein_mode mode;
	uint64_t exit_idle_ns; /* 0: never */
};

/* 0: go on. -1: end with *status (help, version, or a usage error, all printed). */
REIN_MUST_CHECK int rein_options_parse(struct rein_options *o, int argc, char **argv, int *status);

#endif
