// SPDX-License-Identifier: Apache-2.0
#include "report_int.h"

static void string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;
		if (ch == '"' || ch == '\\')
			fprintf(f, "\\%c", ch);
		else if (ch == '<' || ch == '>' || ch == '&' || ch < ' ' || ch > 0x7e)
			fprintf(f, "\\u%04x", ch > 0x7e ? '?' : ch);
		else
			fputc(ch, f);
	}
	fputc('"', f);
}

static void member(struct json *j, const char *key)
{
	if (j->more)
		fputc(',', j->f);
	j->more = true;
	if (key)
		fprintf(j->f, "\"%s\":", key);
}

void rein_json_open(struct json *j, const char *key, char bracket)
{
	member(j, key);
	fputc(bracket, j->f);
	j->more = false;
}

void rein_json_close(struct json *j, char bracket)
{
	fputc(bracket, j->f);
	j->more = true;
}

void rein_json_text(struct json *j, const char *key, const char *value)
{
	member(j, key);
	string(j->f, value);
}

void rein_json_number(struct json *j, const char *key, uint64_t value)
{
	member(j, key);
	fprintf(j->f, "%llu", (unsigned long long)value);
}

void rein_json_real(struct json *j, const char *key, double value)
{
	member(j, key);
	fprintf(j->f, "%.6g", value);
}

void rein_json_bool(struct json *j, const char *key, bool value)
{
	member(j, key);
	fputs(value ? "true" : "false", j->f);
}
