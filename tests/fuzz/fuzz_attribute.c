// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_attribute.c: any bytes as the cells of a recording, taken apart into requests and causes.
 * The first byte chooses what is asked for. Whatever comes, the parts of each story add up to its
 * latency, the matrix to all of them, and no name holds what a terminal would act on.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/attribute.h"

static struct rein_recording recording;

/* Two segments: of one daemon, or of two. */
static void write_cells(const uint8_t *data, size_t len, bool two)
{
	char path[PATH_MAX];
	const struct rein_segment_header h = {.magic = REIN_SEGMENT_MAGIC,
	                                      .major = REIN_SEGMENT_MAJOR};
	size_t half = len / 2 / sizeof(struct rein_trace_record) * sizeof(struct rein_trace_record);
	if (!recording.n) {
		strcpy(recording.dir, "/tmp/rein-fuzz-XXXXXX");
		if (!mkdtemp(recording.dir))
			abort();
		recording.n = 2;
	}
	for (unsigned i = 0; i < 2; i++) {
		size_t n = i ? len - half : half;
		rein_segment_path(path, sizeof(path), recording.dir, i + 1);
		FILE *f = fopen(path, "w");
		if (!f || fwrite(&h, sizeof(h), 1, f) != 1 ||
		    (n && fwrite(data + (i ? half : 0), n, 1, f) != 1) || fclose(f) != 0)
			abort();
		recording.segment[i].number = i + 1;
		recording.segment[i].last = i == 1 || two;
		recording.segment[i].cells = n / sizeof(struct rein_trace_record);
	}
}

static void clean_up(void)
{
	char path[PATH_MAX];
	for (unsigned i = 1; i < 3; i++) {
		rein_segment_path(path, sizeof(path), recording.dir, i);
		unlink(path);
	}
	rmdir(recording.dir);
}

static void check(const struct rein_attribution *a)
{
	uint64_t sum = 0, latencies = 0;
	for (size_t i = 0; i < a->n_stories; i++) {
		const struct rein_request *r = &a->requests[a->stories[i].request];
		uint64_t parts = 0;
		for (unsigned k = 0; k < a->stories[i].n; k++) {
			parts += a->stories[i].part[k].ns;
			if (a->stories[i].part[k].who >= a->n_who ||
			    a->stories[i].part[k].cause >= REIN_CAUSES)
				abort();
		}
		if (parts != r->end_ns - r->begin_ns)
			abort();
	}
	for (size_t i = 0; i < a->n_requests; i++)
		latencies += a->requests[i].end_ns - a->requests[i].begin_ns;
	for (size_t i = 0; i < a->n_lost; i++)
		for (unsigned c = 0; c < REIN_CAUSES; c++)
			sum += a->lost[i].all_ns[c];
	if (sum < latencies) /* more: pieces of jobs */
		abort();
	for (unsigned i = 0; i < a->n_who; i++)
		for (const char *c = a->who[i].name; *c; c++)
			if (*c < ' ' || *c >= 0x7f)
				abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	atexit(clean_up);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rein_attribution a;
	if (!len)
		return 0;
	const struct rein_attribute_wish wish = {.worst = 100,
	                                         .any = data[0] & 1,
	                                         .last_ns = data[0] & 2 ? 1000 : 0,
	                                         .from_ns = data[0] & 4 ? 1u << 20 : 0,
	                                         .pid = data[0] & 8 ? 1 : 0};
	write_cells(data + 1, len - 1, data[0] & 16);
	if (rein_attribute(&recording, &wish, &a))
		abort();
	check(&a);
	rein_attribution_free(&a);
	return 0;
}
