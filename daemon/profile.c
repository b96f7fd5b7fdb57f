// SPDX-License-Identifier: Apache-2.0
#include "profile.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "../common/env.h"
#include "../common/rm.h"

#define PROFILE_BYTES_MAX 65536
#define POINT_COST_MAX_NS 1000000
#define CONTEXT_MAX_US 1000000 /* of a hold, and of a time slice */

static const char *const recipes[REIN_RM_RECIPES] = {
    [REIN_RM_RECIPE_OFF] = "off",
    [REIN_RM_RECIPE_DISABLE_PREEMPT] = "disable-preempt",
    [REIN_RM_RECIPE_DISABLE] = "disable",
    [REIN_RM_RECIPE_SCHEDULE] = "schedule",
    [REIN_RM_RECIPE_TIMESLICE] = "timeslice",
};

/* ---------------------------------------------------------------- one profile */

/* "GPU-" and 32 hexadecimal digits, dashes anywhere. */
static bool uuid_parse(const char *text, uint8_t uuid[16])
{
	unsigned n = 0;
	memset(uuid, 0, 16);
	if (strcmp(text, "*") == 0)
		return true;
	if (strncmp(text, "GPU-", 4) != 0)
		return false;
	for (text += 4; *text; text++) {
		const char *digits = "0123456789abcdef", *at = strchr(digits, *text | 0x20);
		if (*text == '-')
			continue;
		if (!at || n == 32)
			return false;
		uuid[n / 2] = (uint8_t)(uuid[n / 2] << 4 | (unsigned)(at - digits));
		n++;
	}
	return n == 32;
}

static int take(const json_t *root, struct rein_gates *gates, uint8_t uuid[16], char *driver,
                size_t driver_len, char *why, size_t why_len)
{
	const char *gpu = "", *version = "", *recipe = recipes[0];
	int number = 0, works = 0, gives_up = 0, waits = 0;
	json_int_t point_ns = 0, context_us = 0, timeslice_us = 0;
	json_error_t e;
	if (json_unpack_ex((json_t *)(uintptr_t)root, &e, 0,
	                   "{s:i, s:s, s:s, s?{s?b, s?I, s?b, s?b}, s?{s?s, s?I, s?I}}",
	                   "profile_version", &number, "gpu", &gpu, "driver", &version, "queue",
	                   "works", &works, "point_ns", &point_ns, "gives_up_slice", &gives_up,
	                   "waits_for_ever", &waits, "context", "recipe", &recipe, "hold_us",
	                   &context_us, "timeslice_us", &timeslice_us)) {
		snprintf(why, why_len, "%s", e.text);
		return -EINVAL;
	}
	unsigned i = 0;
	while (i < REIN_RM_RECIPES && strcmp(recipes[i], recipe) != 0)
		i++;
	if (number != REIN_PROFILE_VERSION)
		snprintf(why, why_len, "profile_version %d; accepted: %d; run rein calibrate again",
		         number, REIN_PROFILE_VERSION);
	else if (!uuid_parse(gpu, uuid))
		snprintf(why, why_len, "bad gpu '%.60s'; accepted: GPU-<uuid>", gpu);
	else if (i == REIN_RM_RECIPES)
		snprintf(why, why_len,
		         "unknown recipe '%.40s'; accepted: off, disable-preempt, "
		         "disable, schedule, timeslice",
		         recipe);
	else if (point_ns < 0 || point_ns > POINT_COST_MAX_NS)
		snprintf(why, why_len, "bad point_ns; accepted: 0 to %d", POINT_COST_MAX_NS);
	else if (context_us < 0 || context_us > CONTEXT_MAX_US || timeslice_us < 0 ||
	         timeslice_us > CONTEXT_MAX_US)
		snprintf(why, why_len, "bad hold_us or timeslice_us; accepted: 0 to %d",
		         CONTEXT_MAX_US);
	else {
		snprintf(driver, driver_len, "%s", version);
		*gates = (struct rein_gates){.can = (works && gives_up ? REIN_CAN_QUEUE : 0u) |
		                                    (i ? REIN_CAN_CONTEXT : 0u),
		                             .context_recipe = i,
		                             .context_us = (uint32_t)context_us,
		                             .timeslice_us = (uint32_t)timeslice_us,
		                             .point_cost_ns = (uint32_t)point_ns,
		                             .waits_for_ever = waits};
		return 0;
	}
	return -EINVAL;
}

int rein_profile_parse(const char *text, size_t len, struct rein_gates *gates, uint8_t uuid[16],
                       char *driver, size_t driver_len, char *why, size_t why_len)
{
	json_error_t e;
	json_t *root = json_loadb(text, len, 0, &e);
	if (!root) {
		snprintf(why, why_len, "line %d: %s", e.line, e.text);
		return -EINVAL;
	}
	int err = take(root, gates, uuid, driver, driver_len, why, why_len);
	json_decref(root);
	return err;
}

struct rein_gates rein_profile_allowed(const struct rein_gates *measured, bool proven,
                                       const struct rein_config *config)
{
	struct rein_gates g = *measured;
	g.proven = proven;
	if (config->has_gates) {
		g.can |= proven ? 0 : REIN_CAN_QUEUE; /* as the user says */
		g.can &= config->gates;
	}
	return g;
}

/* ---------------------------------------------------------------- files */

/* The text of a small file, or -errno. */
static ssize_t slurp(const char *path, char *buf, size_t len)
{
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	size_t n = fread(buf, 1, len, f);
	bool whole = feof(f) && !ferror(f);
	fclose(f);
	return whole ? (ssize_t)n : -EFBIG;
}

/* `driver` "": any. */
static void read_one(struct rein_gates_of *out, const struct rein_config *config, const char *path,
                     const char *driver, void (*say)(const char *line))
{
	static const uint8_t any[16];
	char text[PROFILE_BYTES_MAX], line[512], why[256], made_for[REIN_PROFILE_DRIVER_LEN];
	struct rein_gates gates;
	uint8_t uuid[16];
	ssize_t n = slurp(path, text, sizeof(text));
	if (n < 0) {
		snprintf(line, sizeof(line), "profile %s is not used: %s", path, strerror((int)-n));
		say(line);
		return;
	}
	if (rein_profile_parse(text, (size_t)n, &gates, uuid, made_for, sizeof(made_for), why,
	                       sizeof(why))) {
		snprintf(line, sizeof(line), "profile %s is not used: %s", path, why);
		say(line);
		return;
	}
	if (*driver && strcmp(driver, made_for) != 0)
		return; /* of an earlier driver */
	gates = rein_profile_allowed(&gates, true, config);
	if (memcmp(uuid, any, sizeof(any)) == 0) {
		if (!*driver)
			out->other = gates;
	} else if (out->n < REIN_GATES_MAX) {
		memcpy(out->device[out->n].uuid, uuid, sizeof(uuid));
		out->device[out->n++].gates = gates;
	}
}

void rein_profile_read(struct rein_gates_of *out, const struct rein_config *config,
                       void (*say)(const char *line))
{
	static const struct rein_gates none;
	const char *only = rein_env_filled(REIN_ENV_PROFILE);
	char driver[REIN_PROFILE_DRIVER_LEN];
	memset(out, 0, sizeof(*out));
	out->other = rein_profile_allowed(&none, false, config);
	if (only) {
		read_one(out, config, only, "", say);
		return;
	}
	rein_profile_driver(driver);
	glob_t found;
	if (glob(REIN_PROFILE_DIR "/" REIN_PROFILE_GLOB, 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			read_one(out, config, found.gl_pathv[i], driver, say);
	globfree(&found);
}
