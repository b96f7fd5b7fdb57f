// SPDX-License-Identifier: Apache-2.0
/* metrics_at.c: where metrics are served, as rein.conf says it. This machine only: whoever wants
 * them elsewhere puts a proxy or an agent in front, which knows whom it serves. */
#include "metrics_at.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/un.h>

#define ACCEPTED "accepted: off, unix:/path, 127.0.0.1:PORT, [::1]:PORT"

static int parse_unix(const char *path, struct rein_metrics_at *at, char *why, size_t why_len)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&at->addr;
	size_t n = strlen(path);
	if (path[0] != '/' || n >= sizeof(un->sun_path)) {
		snprintf(why, why_len, "the path '%.120s' is %s; " ACCEPTED, path,
		         path[0] == '/' ? "too long" : "not absolute");
		return -EINVAL;
	}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n + 1);
	at->len = sizeof(*un);
	return 0;
}

/* 1 to 65535; 0: it is none. */
static in_port_t port_of(const char *text)
{
	char *end;
	unsigned long n = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
	return n && n <= 65535 && !*end ? (in_port_t)n : 0;
}

static bool is_loopback(const struct rein_metrics_at *at)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&at->addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&at->addr;
	if (at->addr.ss_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* "127.0.0.1:9464" or "[::1]:9464" */
static bool parse_ip(const char *text, struct rein_metrics_at *at)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&at->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&at->addr;
	char host[64];
	const char *colon = strrchr(text, ':');
	in_port_t port = colon ? port_of(colon + 1) : 0;
	size_t n = colon ? (size_t)(colon - text) : 0;
	if (!port || n < 2 || n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = 0;
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = 0;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		at->len = sizeof(*in6);
		return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1;
	}
	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	at->len = sizeof(*in);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

int rein_metrics_at_parse(const char *text, struct rein_metrics_at *at, char *why, size_t why_len)
{
	memset(at, 0, sizeof(*at));
	if (strcmp(text, "off") == 0)
		return 0;
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, at, why, why_len);
	if (!parse_ip(text, at))
		snprintf(why, why_len, "'%.120s' is no such address; " ACCEPTED, text);
	else if (!is_loopback(at))
		snprintf(why, why_len, "'%.120s' can be reached from other machines; " ACCEPTED,
		         text);
	else
		return 0;
	return -EINVAL;
}
