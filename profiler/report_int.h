// SPDX-License-Identifier: Apache-2.0
/* report_int.h: what the files of the report share: its JSON, its counters, its page. */
#ifndef REIN_REPORT_INT_H
#define REIN_REPORT_INT_H

#include "report.h"

/* ---- report_json.c: JSON as it goes, for a page: no `<`, `>` or `&` in it */
struct json {
	FILE *f;
	bool more; /* something stands before in this object or array */
};

void rein_json_open(struct json *j, const char *key, char bracket); /* key NULL: in an array */
void rein_json_close(struct json *j, char bracket);
void rein_json_text(struct json *j, const char *key, const char *value);
void rein_json_number(struct json *j, const char *key, uint64_t value);
void rein_json_real(struct json *j, const char *key, double value);
void rein_json_bool(struct json *j, const char *key, bool value);

/* ---- report_counters.c: "counters": […], over this window */
REIN_MUST_CHECK int rein_report_counters(struct json *j, const struct rein_recording *r,
                                         uint64_t from_ns, uint64_t until_ns);

/* ---- report_page.c: report.html, before its data and after */
const char *rein_report_page(size_t *before, size_t *after, const char **tail);

#endif
