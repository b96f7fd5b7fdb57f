// SPDX-License-Identifier: Apache-2.0
/* dump.c: see dump.h. */
#include "dump.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int wl_dump(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "we");
	if (f && fwrite(data, 1, len, f) == len && fclose(f) == 0)
		return 0;
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path, strerror(errno));
	return -1;
}
