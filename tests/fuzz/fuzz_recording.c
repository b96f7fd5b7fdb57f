// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_recording.c: any bytes as the cells of a recording, made into a trace or a report. The first
 * byte chooses what is asked for. Whatever comes, the file must be written, and no name may break
 * its JSON or its page; a Perfetto trace must be packets from end to end.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/export.h"
#include "profiler/report.h"

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

/* Field 1, length-delimited, again and again (protobuf.dev, "Encoding"). */
static void check_packets(const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + len;
	while (at < end) {
		uint64_t n = 0;
		unsigned shift = 0;
		if (*at++ != (1 << 3 | 2))
			abort();
		do {
			if (at == end || shift > 28)
				abort();
			n |= (uint64_t)(*at & 0x7f) << shift;
			shift += 7;
		} while (*at++ & 0x80);
		if (n > (uint64_t)(end - at))
			abort();
		at += n;
	}
}

static void check_page(const char *text, size_t len)
{
	const char *data = memmem(text, len, "id=\"data\">", 10);
	if (!data)
		abort();
	for (data += 10; *data != '<'; data++)
		;
	if (strncmp(data, "</script>\n<script>", 17) != 0)
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
static int write_report(FILE *out, uint8_t asked, const struct rein_export_wish *wish)
{
	const struct rein_report_wish report = {
	    .from_ns = wish->from_ns, .last_ns = wish->last_ns, .worst = 5};
	struct rein_report_result result;
	return rein_report_write(out, asked & 32 ? REIN_REPORT_JSON : REIN_REPORT_HTML, &recording,
	                         &report, &result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint32_t pid = 4711;
	struct rein_export_result result;
	char *text = NULL;
	size_t size = 0;
	if (!len)
		return 0;
	const uint8_t asked = data[0];
	enum rein_export_format format = asked >> 3 & 3;
	const struct rein_export_wish wish = {.alive = asked & 1,
	                                      .last_ns = asked & 2 ? 1000 : 0,
	                                      .from_ns = asked & 4 ? 1u << 20 : 0,
	                                      .pids = asked & 64 ? &pid : NULL,
	                                      .n_pids = 1};
	write_cells(data + 1, len - 1);
	FILE *out = open_memstream(&text, &size);
	if (!out)
		abort();
	bool report = format > REIN_EXPORT_CSV;
	if (report ? write_report(out, asked, &wish)
	           : rein_export_write(out, format, &recording, &wish, &result))
		abort();
	fclose(out);
	if (report && !(asked & 32))
		check_page(text, size);
	else if (report || format == REIN_EXPORT_CHROME)
		check_json(text, size);
	else if (format == REIN_EXPORT_PERFETTO)
		check_packets(text, size);
	free(text);
	return 0;
}
