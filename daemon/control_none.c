// SPDX-License-Identifier: Apache-2.0
/* control_none.c: instead of control.c in builds without jansson: every request gets the same no.
 * Programs are scheduled all the same; only looking and changing needs the control socket. */
#include "control.h"

#include <string.h>

char *rein_control_answer(struct rein_server *s, const struct rein_identity *who, const char *text,
                          size_t len)
{
	return strdup("{\"schema_version\":1,\"ok\":false,\"code\":\"ENOTSUP\","
	              "\"error\":\"this reind was built without jansson, which answers requests; "
	              "install libjansson-dev and rebuild\"}");
}
