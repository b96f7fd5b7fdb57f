// SPDX-License-Identifier: Apache-2.0
/* metrics_http.c: as much of HTTP/1.1 (RFC 9110, 9112) as one GET needs. Pure: no socket, and no
 * byte beyond what was received is looked at. */
#include "metrics.h"

#include <string.h>
#include <strings.h>

#define ACCEPT_MAX 1024 /* of that header's value; what is beyond is not looked at */

struct span {
	const char *at;
	size_t len;
};

/* Up to the next `end`, which is skipped; the rest if there is none. */
static struct span cut(struct span *text, char end)
{
	const char *stop = text->len ? memchr(text->at, end, text->len) : NULL;
	struct span piece = {text->at, stop ? (size_t)(stop - text->at) : text->len};
	size_t used = piece.len + (stop != NULL);
	text->at += used;
	text->len -= used;
	return piece;
}

static bool is(struct span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

static bool begins(struct span s, const char *text)
{
	size_t n = strlen(text);
	return s.len >= n && strncasecmp(s.at, text, n) == 0;
}

/* A line without its CR. */
static struct span line_of(struct span *text)
{
	struct span line = cut(text, '\n');
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool is_whole(struct span text)
{
	while (text.len) {
		bool ends = memchr(text.at, '\n', text.len) != NULL;
		if (line_of(&text).len == 0 && ends)
			return true;
	}
	return false;
}

static void request_line(struct span line, struct rein_metrics_request *out)
{
	struct span method = cut(&line, ' '), target = cut(&line, ' ');
	struct span path = cut(&target, '?');
	out->head = is(method, "HEAD");
	if (!begins(line, "HTTP/1.") || line.len != strlen("HTTP/1.1"))
		out->status = 400;
	else if (!out->head && !is(method, "GET"))
		out->status = 405;
	else
		out->status = is(path, "/metrics") ? 200 : 404;
}

/* How much it wants this media type, by its `q` (RFC 9110, 12.4.2), 0 to 1; -1: not named. */
static double quality(const char *accept, const char *type)
{
	size_t n = strlen(type);
	for (const char *p = accept; *p; p += strcspn(p, ","), p += *p == ',') {
		p += strspn(p, " \t");
		if (strncasecmp(p, type, n) != 0 || !strchr(";, \t", p[n]))
			continue;
		for (const char *q = p + n; *q && *q != ','; q++)
			if (*q == ';' && strncasecmp(q + 1 + strspn(q + 1, " \t"), "q=", 2) == 0)
				return strtod(strchr(q, '=') + 1, NULL);
		return 1;
	}
	return -1;
}

static void header(struct span line, struct rein_metrics_request *out)
{
	static const char name[] = "accept:";
	char value[ACCEPT_MAX];
	if (!begins(line, name))
		return;
	line.at += strlen(name);
	line.len -= strlen(name);
	size_t n = line.len < sizeof(value) - 1 ? line.len : sizeof(value) - 1;
	memcpy(value, line.at, n);
	value[n] = 0;
	double open_metrics = quality(value, "application/openmetrics-text");
	out->open_metrics = open_metrics > 0 && open_metrics >= quality(value, "text/plain");
}

bool rein_metrics_request(const char *text, size_t len, struct rein_metrics_request *out)
{
	struct span all = {text, len};
	*out = (struct rein_metrics_request){.status = 400};
	if (memchr(text, 0, len))
		return true;
	if (!is_whole(all)) {
		out->status = 431;
		return len >= REIN_METRICS_REQUEST_MAX;
	}
	request_line(line_of(&all), out);
	for (struct span line = line_of(&all); line.len; line = line_of(&all))
		header(line, out);
	return true;
}

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	default:
		return "Bad Request";
	}
}

const char *rein_metrics_sorry(int status)
{
	switch (status) {
	case 404:
		return "there is nothing here; the metrics of reind are at /metrics\n";
	case 405:
		return "only GET and HEAD are answered\n";
	case 431:
		return "the request is too long; accepted: 4096 bytes\n";
	case 500:
		return "out of memory\n";
	default:
		return "this is no HTTP/1.1 request\n";
	}
}

size_t rein_metrics_head(const struct rein_metrics_request *r, size_t body_len, char *text,
                         size_t len)
{
	const char *type = "text/plain; charset=utf-8";
	if (r->status == 200)
		type = r->open_metrics
		           ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		           : "text/plain; version=0.0.4; charset=utf-8";
	int n = snprintf(text, len,
	                 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
	                 "Connection: close\r\n\r\n",
	                 r->status, reason(r->status), type, body_len,
	                 r->status == 405 ? "Allow: GET, HEAD\r\n" : "");
	return (size_t)n;
}
