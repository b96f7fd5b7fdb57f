// SPDX-License-Identifier: Apache-2.0
#include "calibration.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "../common/profile.h"
#include "../common/version.h"
#include "cli.h"
#include "probe.h"
#include "table.h"

#define SHARE_LEAST 0.01  /* of its speed, beside a saturating program: it does not starve */
#define ALONE_LEAST 0.99  /* and with nobody else at work */
#define SLICE_LEAST_US 50 /* shorter than going there: such a program starves sooner or later */
#define GAIN_MOST 0.9     /* of the latency by default: less is a gain */
#define POINT_MAX_NS 1000000
#define CONTEXT_MAX_US 1000000
#define TEXT_MOST 100 /* longer texts are left out of "measured" */

/* Rounded up and within what the daemon accepts; 0: not known. */
static json_int_t whole(double value, json_int_t most)
{
	if (isnan(value) || value <= 0)
		return 0;
	return value < (double)most ? (json_int_t)ceil(value) : most;
}

/* ---------------------------------------------------------------- the queue gate */

static json_t *queue_of(json_t *facts)
{
	/* between kernels it costs more than in a row of its own kind */
	double row_ns = rein_cli_fact(facts, "value", "queue-gate.point_gpu_ns");
	double added_ns = rein_cli_fact(facts, "value", "queue-gate.added_20us_ns");
	bool works = !isnan(row_ns) && rein_cli_fact_true(facts, "queue-gate.hold_1s");
	return json_pack("{s:b, s:I, s:b, s:b}", "works", works, "point_ns",
	                 works ? whole(fmax(row_ns, added_ns), POINT_MAX_NS) : 0, "gives_up_slice",
	                 works && rein_cli_fact_true(facts, "queue-gate.held_process_yields"),
	                 "waits_for_ever",
	                 works && rein_cli_fact_true(facts, "queue-gate.hold_3s"));
}

/* ---------------------------------------------------------------- the context gate */

static const struct recipe {
	const char *name, *id; /* in the profile; in the facts */
} recipes[] = {
    {"disable-preempt", "disable_preempt"}, {"disable", "disable"}, {"schedule", "schedule"}};

/* In every cycle, of whatever length. */
static bool always_holds(json_t *facts, const struct recipe *r)
{
	char prefix[64];
	const char *id;
	json_t *fact;
	unsigned n = 0;
	snprintf(prefix, sizeof(prefix), "context-gate.holds_%s_", r->id);
	json_object_foreach(facts, id, fact)
	{
		const char *rest = id + strlen(prefix);
		if (strncmp(id, prefix, strlen(prefix)) != 0 || *rest < '0' || *rest > '9')
			continue; /* "disable" is how "disable_preempt" begins */
		if (json_number_value(json_object_get(fact, "value")) < 1)
			return false;
		n++;
	}
	return n > 0;
}

static bool is_sound(json_t *facts, const struct recipe *r)
{
	char runs[96];
	snprintf(runs, sizeof(runs), "context-gate.launch_while_held_runs_%s", r->id);
	return always_holds(facts, r) &&
	       rein_cli_fact_true(facts, "context-gate.hold_result_intact_%s", r->id) &&
	       strcmp(rein_cli_fact_text(facts, runs), "at once") == 0;
}

static const struct recipe *choose_recipe(json_t *facts)
{
	const struct recipe *best = NULL;
	double best_us = INFINITY;
	for (unsigned i = 0; i < REIN_ARRAY_LEN(recipes); i++) {
		double us = rein_cli_fact(facts, "value", "context-gate.hold_stop_%s_5ms_us",
		                          recipes[i].id);
		if (is_sound(facts, &recipes[i]) && us < best_us) {
			best = &recipes[i];
			best_us = us;
		}
	}
	return best;
}

/* The settings that were tried are those with a share. */
static unsigned choose_timeslice(json_t *facts)
{
	static const char share[] = "context-gate.share_be_";
	double least =
	    GAIN_MOST * rein_cli_fact(facts, "value", "context-gate.lc_latency_default_us");
	double alone = rein_cli_fact(facts, "value", "context-gate.be_alone_default");
	unsigned best = 0, us;
	const char *id;
	json_t *fact;
	if (!rein_cli_fact_true(facts, "context-gate.timeslice_result_intact"))
		return 0;
	json_object_foreach(facts, id, fact)
	{
		if (strncmp(id, share, sizeof(share) - 1) != 0 ||
		    sscanf(id + sizeof(share) - 1, "%uus", &us) != 1 || us < SLICE_LEAST_US)
			continue;
		double latency =
		    rein_cli_fact(facts, "value", "context-gate.lc_latency_%uus_us", us);
		double left = rein_cli_fact(facts, "value", "context-gate.be_alone_%uus", us);
		if (json_number_value(json_object_get(fact, "value")) < SHARE_LEAST ||
		    !(left >= ALONE_LEAST * alone) || !(latency < least))
			continue;
		least = latency;
		best = us;
	}
	return best;
}

static json_t *context_of(json_t *facts)
{
	bool mps = rein_cli_fact(facts, "value", "device.mps") > 0;
	const struct recipe *r = mps ? NULL : choose_recipe(facts);
	unsigned timeslice_us = mps ? 0 : choose_timeslice(facts);
	double hold_us = 0;
	if (r)
		hold_us =
		    rein_cli_fact(facts, "value", "context-gate.hold_call_%s_5ms_us", r->id) +
		    rein_cli_fact(facts, "value", "context-gate.release_call_%s_5ms_us", r->id);
	return json_pack("{s:s, s:I, s:I}", "recipe",
	                 r              ? r->name
	                 : timeslice_us ? "timeslice"
	                                : "off",
	                 "hold_us", whole(hold_us, CONTEXT_MAX_US), "timeslice_us",
	                 (json_int_t)timeslice_us);
}

/* ---------------------------------------------------------------- the whole */

static json_t *measured_of(json_t *facts)
{
	json_t *all = json_object(), *fact;
	const char *id;
	json_object_foreach(facts, id, fact)
	{
		const char *text = json_string_value(json_object_get(fact, "value"));
		if (!text || strlen(text) <= TEXT_MOST)
			json_object_set(all, id, fact);
	}
	return all;
}

json_t *rein_cli_profile_make(json_t *facts, const struct rein_cli_calibrated *of)
{
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "profile_version",
	                 REIN_PROFILE_VERSION, "gpu", of->uuid, "driver", of->driver, "name",
	                 of->name, "date", of->date, "rein", REIN_VERSION, "queue", queue_of(facts),
	                 "context", context_of(facts), "measured", measured_of(facts));
}

/* ---------------------------------------------------------------- the file */

/* A file beside it that no daemon takes for a profile. An own one, or -errno. */
static int open_beside(const char *path, char beside[PATH_MAX])
{
	if (snprintf(beside, PATH_MAX, "%s.%d", path, (int)getpid()) >= PATH_MAX)
		return -ENAMETOOLONG;
	int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

/* A rename would put a file in the place of whatever is there: a device, say. */
static int check_place(const char *path)
{
	struct stat st;
	if (!*path)
		return -ENOENT;
	if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
		return 0;
	return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSUP;
}

int rein_cli_profile_try(const char *path)
{
	char text[PATH_MAX];
	int err = check_place(path);
	if (err)
		return err;
	snprintf(text, sizeof(text), "%s", path);
	char *slash = strrchr(text, '/');
	if (slash && slash != text) {
		*slash = 0;
		if (mkdir(text, 0755) ==
		    0) /* whatever the umask: daemons of other users read there */
			(void)!chmod(text, 0755);
	}
	int fd = open_beside(path, text);
	if (fd < 0)
		return fd;
	close(fd);
	unlink(text);
	return 0;
}

bool rein_cli_profile_found(const char *folder, const char *path)
{
	const char *slash = strrchr(path, '/');
	REIN_AUTO_FREE char *own =
	    slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	struct stat theirs, ours;
	if (!own || stat(folder, &theirs) < 0 || stat(own, &ours) < 0)
		return false;
	return theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev &&
	       fnmatch(REIN_PROFILE_GLOB, slash ? slash + 1 : path, 0) == 0;
}

int rein_cli_profile_write(const char *path, const json_t *profile)
{
	char beside[PATH_MAX];
	int fd = open_beside(path, beside);
	if (fd < 0)
		return fd;
	errno = EIO;
	(void)!fchmod(fd, 0644);
	bool good = json_dumpfd(profile, fd, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0 &&
	            write(fd, "\n", 1) == 1 && fsync(fd) == 0;
	int err = good ? 0 : -errno;
	if (close(fd) < 0 && !err)
		err = -errno;
	if (!err && rename(beside, path) < 0)
		err = -errno;
	if (err)
		unlink(beside);
	return err;
}

/* ---------------------------------------------------------------- for people */

/* "268 us", "-": not known; one of some rotating buffers. */
static const char *figure(json_t *facts, const char *key, const char *unit, const char *id)
{
	static char text[12][40];
	static unsigned next;
	char *t = text[next++ % REIN_ARRAY_LEN(text)];
	double v = rein_cli_fact(facts, key, "%s", id);
	if (isnan(v))
		return "-";
	snprintf(t, sizeof(text[0]), "%.4g %s", v, unit);
	return t;
}

static void row(struct rein_cli_table *t, const char *gate, const char *answer, const char *fmt,
                ...) REIN_PRINTF(4, 5);
static void row(struct rein_cli_table *t, const char *gate, const char *answer, const char *fmt,
                ...)
{
	char text[CLI_CELL_LEN];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rein_cli_table_add(t, "%s", gate);
	rein_cli_table_add(t, "%s", answer);
	rein_cli_table_add(t, "%s", text);
}

/* One fact about the recipe in use; its name has dashes, an id has not. */
static const char *of_recipe(json_t *f, const char *key, const char *quantity, const char *recipe)
{
	char id[96];
	snprintf(id, sizeof(id), "context-gate.%s_%s_5ms_us", quantity, recipe);
	for (char *dash = id + strlen("context-gate."); (dash = strchr(dash, '-'));)
		*dash = '_';
	return figure(f, key, "us", id);
}

static void row_context(struct rein_cli_table *t, json_t *f, const json_t *context)
{
	const char *recipe = rein_cli_str(context, "recipe");
	long long slice_us = rein_cli_int(context, "timeslice_us");
	bool mps = rein_cli_fact(f, "value", "device.mps") > 0;
	char id[64], slice[32];
	if (strcmp(recipe, "off") == 0 || strcmp(recipe, "timeslice") == 0)
		row(t, "context gate", "no", "%s",
		    mps ? "off: here is MPS" : "no recipe holds and leaves the result intact");
	else
		row(t, "context gate", recipe, "stops in %s (p99 %s), goes on in %s",
		    of_recipe(f, "value", "hold_stop", recipe),
		    of_recipe(f, "p99", "hold_stop", recipe),
		    of_recipe(f, "value", "resume", recipe));
	snprintf(id, sizeof(id), "context-gate.lc_latency_%lldus_us", slice_us);
	snprintf(slice, sizeof(slice), "%lld us", slice_us);
	if (slice_us)
		row(t, "time slice", slice, "an urgent short kernel takes %s, by default %s",
		    figure(f, "value", "us", id),
		    figure(f, "value", "us", "context-gate.lc_latency_default_us"));
	else
		row(t, "time slice", "as it is", "%s",
		    mps ? "off: here is MPS"
		        : "none helps the urgent one and leaves the other its speed");
}

static void rows(struct rein_cli_table *t, const json_t *profile)
{
	json_t *f = json_object_get(profile, "measured");
	const json_t *queue = json_object_get(profile, "queue");
	bool yields = json_is_true(json_object_get(queue, "gives_up_slice"));
	row(t, "launch gate", "yes", "a launch takes %s, with the shim %s",
	    figure(f, "value", "ns", "launch.bare_launch_paced_ns"),
	    figure(f, "value", "ns", "launch.shim_launch_paced_ns"));
	if (!json_is_true(json_object_get(queue, "works")))
		row(t, "queue gate", "no", "%s", "a point cannot be made, or a wait does harm");
	else
		row(t, "queue gate", yields ? "yes" : "no",
		    "%sa point takes %lld ns; closes in %s, opens in %s%s",
		    yields ? "" : "who waits keeps the GPU; ", rein_cli_int(queue, "point_ns"),
		    figure(f, "value", "us", "queue-gate.close_us"),
		    figure(f, "value", "us", "queue-gate.open_us"),
		    json_is_true(json_object_get(queue, "waits_for_ever")) ? "" : "; pulsed");
	row_context(t, f, json_object_get(profile, "context"));
	if (rein_cli_fact_true(f, "slices.confined"))
		row(t, "slices", "yes", "green contexts of at least %s, in steps of %s",
		    figure(f, "value", "SMs", "slices.least_sms"),
		    figure(f, "value", "SMs", "slices.multiple_sms"));
	else
		row(t, "slices", "no", "%s", "green contexts do not confine");
}

void rein_cli_profile_print(const char *path, const json_t *profile)
{
	static const struct rein_cli_column columns[] = {
	    {"WHAT", false}, {"ANSWER", false}, {"MEASURED", false}};
	struct rein_cli_table t;
	char line[512];
	rein_cli_table_init(&t, columns, REIN_ARRAY_LEN(columns));
	rows(&t, profile);
	printf("%s, %s, driver %s\n", rein_cli_str(profile, "name"), rein_cli_str(profile, "gpu"),
	       rein_cli_str(profile, "driver"));
	for (size_t i = 0; i <= rein_cli_table_rows(&t); i++) {
		rein_cli_table_line(&t, i, line, sizeof(line));
		puts(line);
	}
	printf("written to %s\n", path);
	rein_cli_table_free(&t);
}
