// SPDX-License-Identifier: Apache-2.0
/* jsonfile.c: see jsonfile.h. */
#include "jsonfile.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int complain(const char *path, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path, why);
	return -1;
}

/* jansson breaks every element of an array onto its own line; long rows of numbers are better
 * kept compact, so top-level members are written one a line and their values without indent */
static int dump_rows(const json_t *root, FILE *f)
{
	const char *key;
	json_t *value;
	const char *separator = "{";
	json_object_foreach((json_t *)root, key, value)
	{
		fprintf(f, "%s\n \"%s\": ", separator, key);
		if (json_dumpf(value, f, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)))
			return -1;
		separator = ",";
	}
	fprintf(f, "%s\n}\n", *separator == '{' ? "{" : "");
	return ferror(f) ? -1 : 0;
}

static int dump_indented(const json_t *root, FILE *f)
{
	int r = json_dumpf(root, f, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	return fputc('\n', f) == EOF ? -1 : r;
}

static int write_by(int (*dump)(const json_t *, FILE *), json_t *root, const char *path)
{
	char tmp[4096];
	struct stat st;
	int r = -1;
	FILE *f = NULL;
	if (strcmp(path, "-") == 0) {
		r = dump(root, stdout);
		fflush(stdout);
		goto out;
	}
	/* what is no file, as /dev/null, is written to and not replaced */
	bool replaced = stat(path, &st) < 0 || S_ISREG(st.st_mode);
	if (snprintf(tmp, sizeof(tmp), "%s%s", path, replaced ? ".tmp" : "") >= (int)sizeof(tmp)) {
		complain(path, strerror(ENAMETOOLONG));
		goto out;
	}
	f = fopen(tmp, "we");
	if (!f) {
		complain(tmp, strerror(errno));
		goto out;
	}
	r = dump(root, f);
	if (fclose(f) || r || (replaced && rename(tmp, path))) {
		r = complain(path, strerror(errno));
		if (replaced)
			remove(tmp);
	}
out:
	json_decref(root);
	return r;
}

json_t *wl_json_read(const char *path)
{
	json_error_t e;
	json_t *root = json_load_file(path, 0, &e);
	if (!root)
		fprintf(stderr, "%s: %s:%d: %s\n", program_invocation_short_name, path, e.line,
		        e.text);
	return root;
}

int wl_json_write(json_t *root, const char *path)
{
	return write_by(dump_rows, root, path);
}

int wl_json_write_indented(json_t *root, const char *path)
{
	return write_by(dump_indented, root, path);
}
