// SPDX-License-Identifier: Apache-2.0
/* benchout.c: see benchout.h. */
#include "benchout.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>

#include "daemon.h"
#include "options.h"
#include "probe.h"

int wl_bench_out(int argc, char **argv, const char *usage, char *out, size_t len)
{
	static const struct option options[] = {{"out", 1, 0, 'o'}, {"help", 0, 0, 'h'}, {0}};
	char build[PATH_MAX / 2];
	int c;
	if (wl_build_folder(build, sizeof(build)))
		return -1;
	snprintf(out, len, "%.2000s/bench", build);
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c != 'o')
			wl_option_usage(c, usage);
		snprintf(out, len, "%s", optarg);
	}
	wl_option_no_more(argc, argv, usage);
	return wl_make_folder(out);
}
