// SPDX-License-Identifier: Apache-2.0
/* options.c: see options.h. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t wl_option_integer(const char *option, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	errno = 0;
	uint64_t v = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno || v < min || v > max) {
		fprintf(stderr, "%s: %s: '%s' is not an integer from %" PRIu64 " to %" PRIu64 "\n",
		        program_invocation_short_name, option, text, min, max);
		exit(WL_EXIT_USAGE);
	}
	return v;
}

double wl_option_number(const char *option, const char *text, double min, double max)
{
	char *end;
	double v = strtod(text, &end);
	if (end == text || *end || !isfinite(v) || v < min || v > max) {
		fprintf(stderr, "%s: %s: '%s' is not a number from %g to %g\n",
		        program_invocation_short_name, option, text, min, max);
		exit(WL_EXIT_USAGE);
	}
	return v;
}

void wl_option_usage(int c, const char *usage)
{
	fputs(usage, c == 'h' ? stdout : stderr);
	exit(c == 'h' ? 0 : WL_EXIT_USAGE);
}

void wl_option_no_more(int argc, char **argv, const char *usage)
{
	if (optind >= argc)
		return;
	fprintf(stderr, "%s: unexpected argument '%s'\n%s", program_invocation_short_name,
	        argv[optind], usage);
	exit(WL_EXIT_USAGE);
}
