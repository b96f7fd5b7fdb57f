// SPDX-License-Identifier: Apache-2.0
/* measure.c: reading what the runs left behind; see measure.h. */
#include "measure.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jsonfile.h"

static int complain(const char *path, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path, why);
	return -1;
}

static uint64_t number(const json_t *root, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(root, key));
}

static bool is_output_of(const json_t *root, const char *program)
{
	const char *p = json_string_value(json_object_get(root, "program"));
	return p && strcmp(p, program) == 0 && number(root, "schema_version") == 1;
}

static int lc_records(struct wl_lc *lc, const json_t *records)
{
	size_t i;
	json_t *row;
	json_array_foreach(records, i, row)
	{
		json_int_t arrival, start, end;
		if (json_unpack(row, "[I,I,I]", &arrival, &start, &end) || end < arrival)
			return -1;
		wl_samples_add(&lc->arrival, (uint64_t)arrival);
		wl_samples_add(&lc->start, (uint64_t)start);
		wl_samples_add(&lc->end, (uint64_t)end);
		wl_samples_add(&lc->latency, (uint64_t)(end - arrival));
	}
	wl_sort(lc->latency.v, lc->latency.n);
	return 0;
}

int wl_lc_load(struct wl_lc *lc, const char *path)
{
	json_t *root = wl_json_read(path);
	int r = 0;
	if (!root)
		return -1;
	const char *gpu = json_string_value(json_object_get(root, "gpu"));
	snprintf(lc->gpu, sizeof(lc->gpu), "%s", gpu ? gpu : "?");
	lc->pid = (pid_t)number(root, "pid");
	lc->work = (uint32_t)number(root, "work");
	lc->begin_ns = number(root, "begin_ns");
	lc->finish_ns = number(root, "finish_ns");
	if (!is_output_of(root, "lc") || lc_records(lc, json_object_get(root, "records")))
		r = complain(path, "not the output of lc");
	else if (lc->latency.n == 0 || lc->finish_ns <= lc->begin_ns)
		r = complain(path, "no request was served");
	json_decref(root);
	return r;
}

int wl_be_load(struct wl_be *be, const char *path)
{
	size_t i;
	json_t *root = wl_json_read(path), *v;
	int r = 0;
	if (!root)
		return -1;
	be->pid = (pid_t)number(root, "pid");
	be->work = (uint32_t)number(root, "work");
	be->begin_ns = number(root, "begin_ns");
	be->finish_ns = number(root, "finish_ns");
	json_array_foreach(json_object_get(root, "step_end_ns"), i, v)
	    wl_samples_add(&be->step_end, (uint64_t)json_integer_value(v));
	if (!is_output_of(root, "be"))
		r = complain(path, "not the output of be");
	else if (be->step_end.n == 0)
		r = complain(path, "no step was finished");
	json_decref(root);
	return r;
}

void wl_slices_add(struct wl_slices *s, struct wl_slice slice)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 1024;
		s->v = realloc(s->v, s->room * sizeof(s->v[0]));
		if (!s->v) {
			fprintf(stderr, "%s: out of memory for %zu time slices\n",
			        program_invocation_short_name, s->room);
			exit(1);
		}
	}
	s->v[s->n++] = slice;
}

static int by_start(const void *a, const void *b)
{
	const struct wl_slice *x = a, *y = b;
	return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

int wl_slices_load(struct wl_slices *s, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[256];
	int r = 0;
	if (!f)
		return errno == ENOENT ? 0 : complain(path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		struct wl_slice slice;
		int pid;
		if (sscanf(line, "%d %" SCNu64 " %" SCNu64, &pid, &slice.start_ns, &slice.end_ns) !=
		        3 ||
		    slice.end_ns < slice.start_ns) {
			r = complain(path, "a line is not 'pid start_ns end_ns'");
			break;
		}
		slice.pid = pid;
		wl_slices_add(s, slice);
	}
	fclose(f);
	if (s->n)
		qsort(s->v, s->n, sizeof(s->v[0]), by_start); /* two processes append to it */
	return r;
}

static bool find_key(const char *line, const char *key, uint64_t *value)
{
	size_t len = strlen(key);
	for (const char *at = line; (at = strstr(at, key)); at += len) {
		if ((at == line || at[-1] == ' ') && at[len] == '=')
			return sscanf(at + len + 1, "%" SCNu64, value) == 1;
	}
	return false;
}

int wl_overruns_load(struct wl_overruns *o, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[1024];
	if (!f)
		return errno == ENOENT ? 0 : complain(path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		uint64_t count, worst = 0;
		if (!find_key(line, "overruns", &count))
			continue;
		o->known = true;
		o->count += count;
		if (find_key(line, "worst_overrun_ns", &worst) && worst > o->worst_ns)
			o->worst_ns = worst;
	}
	fclose(f);
	return 0;
}
