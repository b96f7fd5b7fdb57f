// SPDX-License-Identifier: Apache-2.0
/* metrics_at.h: where metrics are served: nowhere, at a Unix socket, or at a port of this machine
 * that no other one reaches. */
#ifndef REIN_METRICS_AT_H
#define REIN_METRICS_AT_H

#include <sys/socket.h>

#include "../common/util.h"

struct rein_metrics_at {
	struct sockaddr_storage addr; /* ss_family AF_UNSPEC: nowhere */
	socklen_t len;
};

/* "off", "unix:/path", "127.0.0.1:9464", "[::1]:9464". 0, or -EINVAL with one line in why: what is
 * wrong, what is accepted. */
REIN_MUST_CHECK int rein_metrics_at_parse(const char *text, struct rein_metrics_at *at, char *why,
                                          size_t why_len);

#endif
