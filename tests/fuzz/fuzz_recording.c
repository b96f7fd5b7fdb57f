// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_recording.c: any bytes as the cells of a recording, made into a trace. The first byte
 * chooses what is asked for. Whatever comes, the trace must be written, and no name may break its
 * JSON.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/chrome.h"

static struct rein_recording recording;

static void write_cells(const uint8_t *data, size_t len)
{
	static char path[256];
	const struct rein_segment_header h = {.magic = REIN_SEGMENT_MAGIC,
	                                      .major = REIN_SEGMENT_MAJOR};
	if (!recording.n) {
		strcpy(recording.dir, "/tmp/rein-fuzz-XXXXXX");
		if (!mkdtemp(recording.dir))
			abort();
		recording.n = 1;
		recording.segment[0].number = 1;
		recording.segment[0].last = true;
		rein_segment_path(path, sizeof(path), recording.dir, 1);
	}
	FILE *f = fopen(path, "w");
	if (!f || fwrite(&h, sizeof(h), 1, f) != 1 || (len && fwrite(data, len, 1, f) != 1) ||
	    fclose(f) != 0)
		abort();
	recording.segment[0].cells = len / sizeof(struct rein_trace_record);
}

static void check_json(const char *text, size_t len)
{
	bool in_string = false;
	long depth = 0;
	for (size_t i = 0; i < len; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string)
			depth += strchr("{[", text[i]) ? 1 : strchr("}]", text[i]) ? -1 : 0;
		if (depth < 0 || (in_string && (unsigned char)text[i] < ' '))
			abort();
	}
	if (in_string || depth)
		abort();
}

static void clean_up(void)
{
	char path[256];
	rein_segment_path(path, sizeof(path), recording.dir, 1);
	unlink(path);
	rmdir(recording.dir);
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
	struct rein_chrome_result result;
	char *text = NULL;
	size_t size = 0;
	if (!len)
		return 0;
	const struct rein_chrome_wish wish = {.alive = data[0] & 1,
	                                      .last_ns = data[0] & 2 ? 1000 : 0,
	                                      .from_ns = data[0] & 4 ? 1u << 20 : 0};
	write_cells(data + 1, len - 1);
	FILE *out = open_memstream(&text, &size);
	if (!out || rein_chrome_write(out, &recording, &wish, &result))
		abort();
	fclose(out);
	check_json(text, size);
	free(text);
	return 0;
}
