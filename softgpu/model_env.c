// SPDX-License-Identifier: Apache-2.0
/*
 * model_env.c: the figures of the software GPU out of the environment: one table of variables,
 * two documented geometries as defaults, and the list of declared kernel times. A bad value is
 * refused with one line: variable, value, what is accepted.
 */
#include "model.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/clock.h"
#include "../common/util.h"

/*
 * What an H200 answered under driver 580.159.04 (results/h200-580.159.04-2026-11-20, facts in
 * brackets), for both geometries.
 *   time slice  [ioctls.timeslice_us]; switch: 160 to 175 us with the slices that are lost
 *               [context-gate.share_be_*, lc_latency_*]
 *   preempt     a DISABLE_CHANNELS that stops a kernel after 265 us, 50 of them its own, and
 * PREEMPT after 417 less the disabling before it [context-gate.hold_stop_*] resume
 * [context-gate.resume_*] slices      [slices.create_us], half of [slices.swap_gpu_ns], there and
 * back memop       a point of two between kernels costs 3.0 us [queue-gate.added_*_ns] wait
 * [queue-gate.held_process_yields] channels    one waiting stream held none of 127 others, the most
 * that were tried [queue-gate.streams_*] depth       a kernel, a point, and 1,019 more
 * [queue-gate.depth_kernels]
 */
#define MEASURED                                                                                   \
	.timeslice_ns = 2048 * REIN_US, .switch_ns = 150 * REIN_US, .preempt_ns = 215 * REIN_US,   \
	.resume_ns = 300 * REIN_US, .slice_create_ns = 1050 * REIN_US, .slice_swap_ns = 2100,      \
	.memop_ns = 1500, .wait_keeps_slice = 0, .channels = SG_CHANNELS_MAX, .queue_depth = 1021

/* The default: small and slow enough that a core of the host executes ordinary kernels in less
 * than half of their modelled time, so that wall-clock mode tells the truth. */
static const struct sg_model geometry_small = {
    .device_name = "Software GPU (small)",
    .sms = 8,
    .sm_arch = 90,
    .sm_granule = 2, /* else 8 SMs could not be divided */
    .clock_mhz = 2,
    .blocks_per_sm = 16,
    .threads_per_sm = 2048,
    .shared_per_sm = 100 * 1024,
    .registers_per_sm = 65536,
    .shared_per_block_max = 99 * 1024,
    .memory_bytes = 4ull << 30,
    .memory_bus_bits = 512,
    .l2_bytes = 4 << 20,
    .warp_ipc_per_sm = 0.5,
    .memory_gbps = 1.0,
    .h2d_gbps = 1.5,
    .d2h_gbps = 1.5,
    .copy_latency_ns = 10 * REIN_US,
    .copy_engines = 2,
    .launch_latency_ns = 5 * REIN_US,
    .kernel_gap_ns = 1 * REIN_US,
    .kernel_min_ns = 5 * REIN_US,
    MEASURED,
    .overrun_slack_ns = 200 * REIN_US,
};

/* The public data sheet's figures of an H200 SXM; its memory as it says itself. Its
 * IPC, links and copy latency are plausible, not measured; launch latency and gap are, and bear out
 * what was assumed [overhead.bare_launch_sync_ns, queue-gate.gap_plain_ns]. For time-only mode and
 * declared times: no CPU executes at its pace. */
static const struct sg_model geometry_h200 = {
    .device_name = "Software GPU (H200 geometry)",
    .sms = 132,
    .sm_arch = 90,
    .clock_mhz = 1980,
    .blocks_per_sm = 32,
    .threads_per_sm = 2048,
    .shared_per_sm = 228 * 1024,
    .registers_per_sm = 65536,
    .shared_per_block_max = 227 * 1024,
    .memory_bytes = 150109880320ull,
    .memory_bus_bits = 6144,
    .l2_bytes = 50 << 20,
    .warp_ipc_per_sm = 2.0,
    .memory_gbps = 4800,
    .h2d_gbps = 55,
    .d2h_gbps = 55,
    .copy_latency_ns = 2 * REIN_US,
    .copy_engines = 3,
    .launch_latency_ns = 4 * REIN_US,
    .kernel_gap_ns = 1 * REIN_US,
    .kernel_min_ns = 2 * REIN_US,
    MEASURED,
    .overrun_slack_ns = 200 * REIN_US,
};

enum kind { COUNT, BYTES32, BYTES64, REAL, DURATION, TEXT };

struct row {
	const char *env;
	enum kind kind;
	size_t offset, size; /* size: of TEXT */
	double min, max;
};

#define AT(field) offsetof(struct sg_model, field)
#define TEXT_ROW(env, field)                                                                       \
	{                                                                                          \
		env, TEXT, AT(field), sizeof(((struct sg_model *)0)->field), 0, 0                  \
	}

static const struct row rows[] = {
    TEXT_ROW("SOFTGPU_NAME", device_name),
    TEXT_ROW("SOFTGPU_SHM", shm_name),
    TEXT_ROW("SOFTGPU_OWNER_LOG", owner_log),
    TEXT_ROW("SOFTGPU_STATS", stats),
    TEXT_ROW("SOFTGPU_ORDER_LOG", order_log),
    {"SOFTGPU_DEVICES", COUNT, AT(n_devices), 0, 1, SG_DEVICES_MAX},
    {"SOFTGPU_SMS", COUNT, AT(sms), 0, 1, SG_SMS_MAX},
    {"SOFTGPU_SM_GRANULE", COUNT, AT(sm_granule), 0, 0, SG_SMS_MAX},
    {"SOFTGPU_ARCH", COUNT, AT(sm_arch), 0, 50, 121},
    {"SOFTGPU_CLOCK_MHZ", COUNT, AT(clock_mhz), 0, 1, 100000},
    {"SOFTGPU_BLOCKS_PER_SM", COUNT, AT(blocks_per_sm), 0, 1, 32},
    {"SOFTGPU_THREADS_PER_SM", COUNT, AT(threads_per_sm), 0, 1024, 2048},
    {"SOFTGPU_SHARED_PER_SM", BYTES32, AT(shared_per_sm), 0, 48 * 1024, 1 << 20},
    {"SOFTGPU_SHARED_PER_BLOCK", BYTES32, AT(shared_per_block_max), 0, 48 * 1024, 1 << 20},
    {"SOFTGPU_REGISTERS_PER_SM", COUNT, AT(registers_per_sm), 0, 32768, 1 << 20},
    {"SOFTGPU_MEMORY", BYTES64, AT(memory_bytes), 0, 1 << 20, 1e13},
    {"SOFTGPU_IPC", REAL, AT(warp_ipc_per_sm), 0, 0.001, 64},
    {"SOFTGPU_MEM_GBPS", REAL, AT(memory_gbps), 0, 0.001, 1e6},
    {"SOFTGPU_H2D_GBPS", REAL, AT(h2d_gbps), 0, 0.001, 1e6},
    {"SOFTGPU_D2H_GBPS", REAL, AT(d2h_gbps), 0, 0.001, 1e6},
    {"SOFTGPU_COPY_LATENCY", DURATION, AT(copy_latency_ns), 0, 0, 1e9},
    {"SOFTGPU_COPY_ENGINES", COUNT, AT(copy_engines), 0, 1, SG_COPY_ENGINES_MAX},
    {"SOFTGPU_LAUNCH_LATENCY", DURATION, AT(launch_latency_ns), 0, 0, 1e9},
    {"SOFTGPU_KERNEL_GAP", DURATION, AT(kernel_gap_ns), 0, 0, 1e9},
    {"SOFTGPU_KERNEL_MIN", DURATION, AT(kernel_min_ns), 0, 1, 1e9},
    {"SOFTGPU_TIMESLICE", DURATION, AT(timeslice_ns), 0, 1e3, 1e10},
    {"SOFTGPU_SWITCH", DURATION, AT(switch_ns), 0, 0, 1e9},
    {"SOFTGPU_RM", COUNT, AT(rm), 0, 0, 1},
    {"SOFTGPU_PREEMPT", DURATION, AT(preempt_ns), 0, 0, 1e9},
    {"SOFTGPU_RESUME", DURATION, AT(resume_ns), 0, 0, 1e9},
    {"SOFTGPU_SLICE_CREATE", DURATION, AT(slice_create_ns), 0, 0, 1e9},
    {"SOFTGPU_SLICE_SWAP", DURATION, AT(slice_swap_ns), 0, 0, 1e6},
    {"SOFTGPU_MEMOP", DURATION, AT(memop_ns), 0, 0, 1e6},
    {"SOFTGPU_WAIT_KEEPS_SLICE", COUNT, AT(wait_keeps_slice), 0, 0, 1},
    {"SOFTGPU_MPS", COUNT, AT(mps), 0, 0, 1},
    {"SOFTGPU_CHANNELS", COUNT, AT(channels), 0, 1, SG_CHANNELS_MAX},
    {"SOFTGPU_QUEUE_DEPTH", COUNT, AT(queue_depth), 0, 1, 1 << 20},
    {"SOFTGPU_OVERRUN_SLACK", DURATION, AT(overrun_slack_ns), 0, 0, 1e10},
};

/* A number with an optional unit out of `units` (name, factor pairs; "" = no unit). */
struct unit {
	const char *name;
	double factor;
};

static bool parse_scaled(const char *text, const struct unit *units, size_t n, double *out)
{
	if (!*text || strchr(" \t+-", *text)) /* strtod would take these, and "nan", "inf", hex */
		return false;
	if (strcspn(text, "0123456789.") != 0 || text[1] == 'x' || text[1] == 'X')
		return false;
	char *end;
	errno = 0;
	double v = strtod(text, &end);
	if (end == text || errno || !isfinite(v) || v < 0)
		return false;
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(end, units[i].name) == 0) {
			*out = v * units[i].factor;
			return true;
		}
	}
	return false;
}

bool sg_parse_duration(const char *text, uint64_t *ns)
{
	static const struct unit units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
	double v;
	if (!parse_scaled(text, units, REIN_ARRAY_LEN(units), &v) || v > 1e15)
		return false;
	*ns = (uint64_t)(v + 0.5);
	return true;
}

static bool parse_bytes(const char *text, double *v)
{
	static const struct unit units[] = {
	    {"", 1}, {"K", 1024}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1024.0 * (1 << 30)}};
	return parse_scaled(text, units, REIN_ARRAY_LEN(units), v);
}

static bool refuse(char *why, size_t len, const char *env, const char *value, const char *accepted)
{
	snprintf(why, len, "%s=%.80s: %s", env, value, accepted);
	return false;
}

static void say_accepted(const struct row *r, char *buf, size_t len)
{
	switch (r->kind) {
	case COUNT:
		snprintf(buf, len, "accepted: a whole number from %.0f to %.0f", r->min, r->max);
		break;
	case BYTES32:
	case BYTES64:
		snprintf(buf, len, "accepted: bytes from %.0f to %.0f, with K, M, G or T", r->min,
		         r->max);
		break;
	case REAL:
		snprintf(buf, len, "accepted: a number from %g to %g", r->min, r->max);
		break;
	case DURATION:
		snprintf(buf, len,
		         "accepted: a duration from %.0fns to %.0fs, such as 2ms or 150us", r->min,
		         r->max / 1e9);
		break;
	case TEXT:
		snprintf(buf, len, "accepted: a text of at most %zu characters", r->size - 1);
		break;
	}
}

static bool parse_number(const struct row *r, const char *text, double *v)
{
	static const struct unit none = {"", 1};
	uint64_t ns;
	switch (r->kind) {
	case BYTES32:
	case BYTES64:
		return parse_bytes(text, v);
	case DURATION:
		if (!sg_parse_duration(text, &ns))
			return false;
		*v = (double)ns;
		return true;
	case COUNT:
		return parse_scaled(text, &none, 1, v) && *v == floor(*v);
	case REAL:
	case TEXT:
		break;
	}
	return parse_scaled(text, &none, 1, v);
}

static bool read_row(struct sg_model *m, const struct row *r, char *why, size_t len)
{
	const char *text = getenv(r->env);
	if (!text)
		return true;
	char accepted[128];
	say_accepted(r, accepted, sizeof(accepted));
	void *at = (char *)m + r->offset;
	if (r->kind == TEXT) {
		if (strlen(text) >= r->size)
			return refuse(why, len, r->env, text, accepted);
		memcpy(at, text, strlen(text) + 1);
		return true;
	}
	double v;
	if (!parse_number(r, text, &v) || v < r->min || v > r->max)
		return refuse(why, len, r->env, text, accepted);
	if (r->kind == REAL)
		*(double *)at = v;
	else if (r->kind == COUNT || r->kind == BYTES32)
		*(uint32_t *)at = (uint32_t)v;
	else
		*(uint64_t *)at = (uint64_t)v;
	return true;
}

/* ---- declared kernel times */

#define TIMES "SOFTGPU_TIMES"
#define TIMES_ACCEPTED                                                                             \
	"accepted: NAME=DURATION, separated by commas, NAME a kernel or a prefix ending in '*', "  \
	"after the duration perhaps @PERCENT of the memory bandwidth, such as "                    \
	"lc_step=2ms,be_*=1.9ms@80; or @FILE with one a line"

/* "@PERCENT" at the end of an entry is cut off. False: it is not a percentage. */
static bool cut_memory(char *entry, double *share)
{
	static const struct unit units[] = {{"", 0.01}, {"%", 0.01}};
	char *at = strchr(entry, '@');
	*share = 0;
	if (!at)
		return true;
	*at = 0;
	return parse_scaled(at + 1, units, REIN_ARRAY_LEN(units), share) && *share <= 1;
}

static bool declare(struct sg_model *m, char *entry, char *why, size_t len)
{
	while (*entry == ' ' || *entry == '\t')
		entry++;
	size_t n = strlen(entry);
	while (n && strchr(" \t\r", entry[n - 1]))
		entry[--n] = 0;
	if (!n || *entry == '#')
		return true;
	char *eq = strchr(entry, '=');
	size_t name_len = eq ? (size_t)(eq - entry) : 0;
	struct sg_declared d = {.solo_ns = 0};
	const char *star = memchr(entry, '*', name_len);
	REIN_AUTO_FREE char *value = eq ? strdup(eq + 1) : NULL;
	if (!name_len || name_len >= sizeof(d.name) || (star && star != eq - 1) || !value ||
	    !cut_memory(value, &d.memory) || !sg_parse_duration(value, &d.solo_ns) || !d.solo_ns)
		return refuse(why, len, TIMES, entry, TIMES_ACCEPTED);
	memcpy(d.name, entry, name_len);
	struct sg_declared *grown = realloc(m->declared, (m->n_declared + 1) * sizeof(d));
	if (!grown)
		return refuse(why, len, TIMES, entry, "out of memory");
	m->declared = grown;
	m->declared[m->n_declared++] = d;
	return true;
}

static char *read_times_file(const char *path)
{
	REIN_AUTO_FCLOSE FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;
	if (f && getdelim(&text, &room, 0, f) < 0 && ferror(f)) {
		free(text);
		return NULL;
	}
	return f && !text ? strdup("") : text;
}

static bool read_times(struct sg_model *m, char *why, size_t len)
{
	const char *value = getenv(TIMES);
	if (!value || !*value)
		return true;
	errno = 0;
	REIN_AUTO_FREE char *text = value[0] == '@' ? read_times_file(value + 1) : strdup(value);
	if (!text)
		return refuse(why, len, TIMES, value, strerror(errno ? errno : ENOMEM));
	char *save = NULL;
	for (char *e = strtok_r(text, ",\n", &save); e; e = strtok_r(NULL, ",\n", &save))
		if (!declare(m, e, why, len))
			return false;
	return true;
}

/* ---- all of it */

static bool read_mode(struct sg_model *m, char *why, size_t len)
{
	const char *text = getenv("SOFTGPU_MODE");
	if (!text || strcmp(text, "wall") == 0)
		m->mode = SG_MODE_WALL;
	else if (strcmp(text, "time") == 0)
		m->mode = SG_MODE_TIME;
	else if (strcmp(text, "fast") == 0)
		m->mode = SG_MODE_FAST;
	else
		return refuse(why, len, "SOFTGPU_MODE", text, "accepted: wall, time, fast");
	return true;
}

static bool read_sass(struct sg_model *m, char *why, size_t len)
{
	const char *text = getenv("SOFTGPU_SASS");
	m->sass_time = text && strcmp(text, "time") == 0;
	if (text && !m->sass_time && strcmp(text, "refuse") != 0)
		return refuse(why, len, "SOFTGPU_SASS", text, "accepted: refuse, time");
	return true;
}

static bool read_geometry(struct sg_model *m, char *why, size_t len)
{
	const char *text = getenv("SOFTGPU_GEOMETRY");
	if (!text || strcmp(text, "small") == 0)
		*m = geometry_small;
	else if (strcmp(text, "h200") == 0)
		*m = geometry_h200;
	else
		return refuse(why, len, "SOFTGPU_GEOMETRY", text, "accepted: small, h200");
	m->n_devices = 1;
	snprintf(m->shm_name, sizeof(m->shm_name), "default");
	return true;
}

static bool check_together(const struct sg_model *m, char *why, size_t len)
{
	char value[32];
	if (!*m->shm_name || strchr(m->shm_name, '/') || strchr(m->shm_name, '.'))
		return refuse(why, len, "SOFTGPU_SHM", m->shm_name,
		              "accepted: a name without '/' and '.'");
	if (m->shared_per_block_max > m->shared_per_sm) {
		snprintf(value, sizeof(value), "%u", m->shared_per_block_max);
		return refuse(why, len, "SOFTGPU_SHARED_PER_BLOCK", value,
		              "accepted: at most SOFTGPU_SHARED_PER_SM");
	}
	return true;
}

/* What CUDA's own variables say, as a driver takes them: a value that is none is ignored. */
static double cuda_number(const char *env, double max)
{
	static const struct unit none = {"", 1};
	const char *text = getenv(env);
	double v;
	if (!text || !parse_scaled(text, &none, 1, &v) || v <= 0)
		return 0;
	return v < max ? v : max;
}

/* 1 connection: programs ask for it to have kernels start in the order of their submission. With 8
 * and 32 an H200 held no more streams than without. */
static void read_cuda(struct sg_model *m)
{
	if (cuda_number("CUDA_DEVICE_MAX_CONNECTIONS", SG_CHANNELS_MAX) == 1)
		m->channels = 1;
}

static void confine_client(struct sg_model *m)
{
	double percent = cuda_number("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", 100);
	m->device_sms = m->sms;
	if (m->mps && percent > 0)
		m->sms = sg_model_percent_sms(m, percent);
}

bool sg_model_read(struct sg_model *m, char *why, size_t why_len)
{
	memset(m, 0, sizeof(*m));
	if (why_len)
		*why = 0;
	bool ok = read_geometry(m, why, why_len) && read_mode(m, why, why_len) &&
	          read_sass(m, why, why_len);
	if (ok)
		read_cuda(m);
	for (size_t i = 0; ok && i < REIN_ARRAY_LEN(rows); i++)
		ok = read_row(m, &rows[i], why, why_len);
	ok = ok && check_together(m, why, why_len) && read_times(m, why, why_len);
	if (!ok) {
		sg_model_clear(m);
		return false;
	}
	confine_client(m);
	m->measuring = getenv("SOFTGPU_MODE") || m->n_declared || *m->owner_log || *m->order_log;
	return true;
}

void sg_model_clear(struct sg_model *m)
{
	free(m->declared);
	m->declared = NULL;
	m->n_declared = 0;
}
