// SPDX-License-Identifier: Apache-2.0
/* control.h: the control socket's requests (docs/control.md). */
#ifndef REIN_CONTROL_H
#define REIN_CONTROL_H

#include <stddef.h>

struct rein_server;
struct rein_identity;

/* The answer to one request as JSON text, at most REIN_CONTROL_MAX bytes; the caller frees it.
 * NULL: out of memory. */
char *rein_control_answer(struct rein_server *s, const struct rein_identity *who, const char *text,
                          size_t len);

#endif
