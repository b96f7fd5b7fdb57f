// SPDX-License-Identifier: Apache-2.0
/* control_none.c: instead of control.c in builds without jansson: every request gets the same no.
 * Programs are scheduled all the same; only looking and changing needs the control socket. Nor are
 * profiles read. */
#include "control.h"

#include <string.h>

#include "profile.h"

/* Instead of profile.c: there is what the configuration allows without profiles. */
void rein_profile_read(struct rein_gates_of *out, const struct rein_config *config,
                       void (*say)(const char *line))
{
	memset(out, 0, sizeof(*out));
	if (config->has_gates)
		out->other.can = config->gates & REIN_CAN_QUEUE;
}

char *rein_control_answer(struct rein_server *s, const struct rein_identity *who, const char *text,
                          size_t len)
{
	return strdup("{\"schema_version\":1,\"ok\":false,\"code\":\"ENOTSUP\","
	              "\"error\":\"this reind was built without jansson, which answers requests; "
	              "install libjansson-dev and rebuild\"}");
}
