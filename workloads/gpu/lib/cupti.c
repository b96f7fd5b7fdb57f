// SPDX-License-Identifier: Apache-2.0
/* cupti.c: see cupti.h. CUPTI's callbacks carry no argument of ours, hence the one collection. */
#include "cupti.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/clock.h"

#define BUFFER_BYTES (128u << 10)
#define BUFFER_ALIGN 8u
#define RECORDS_MAX (8u << 20)
#define FLUSH_FORCED 1 /* CUPTI_ACTIVITY_FLAG_FLUSH_FORCED */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct wl_cupti_collected collected; /* under the lock */
static struct wl_cupti *active;

/* ---- the library */
static const struct {
	const char *name;
	size_t offset;
	bool needed;
} functions[] = {
#define NEEDED(f)                                                                                  \
	{                                                                                          \
		"cupti" #f, offsetof(struct wl_cupti, f), true                                     \
	}
#define OPTIONAL(f)                                                                                \
	{                                                                                          \
		"cupti" #f, offsetof(struct wl_cupti, f), false                                    \
	}
    NEEDED(GetVersion),
    NEEDED(GetResultString),
    NEEDED(Subscribe),
    NEEDED(Unsubscribe),
    NEEDED(EnableCallback),
    NEEDED(ActivityRegisterCallbacks),
    NEEDED(ActivityEnable),
    NEEDED(ActivityDisable),
    NEEDED(ActivityGetNextRecord),
    NEEDED(ActivityFlushAll),
    OPTIONAL(Subscribe_v2),
    OPTIONAL(ActivityRegisterTimestampCallback),
    OPTIONAL(ActivityGetNumDroppedRecords),
    OPTIONAL(ActivityEnableDriverApi),
    OPTIONAL(ActivityEnableLatencyTimestamps),
    OPTIONAL(ActivityEnableHWTrace),
    OPTIONAL(ActivityEnable_v2),
};

static int bind_functions(struct wl_cupti *c)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *f = dlsym(c->lib, functions[i].name);
		if (!f && functions[i].needed) {
			snprintf(c->why, sizeof(c->why), "%s has no %s", c->path,
			         functions[i].name);
			return -1;
		}
		memcpy((char *)c + functions[i].offset, &f, sizeof(f));
	}
	return 0;
}

static bool load(struct wl_cupti *c, const char *path)
{
	c->lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (c->lib)
		snprintf(c->path, sizeof(c->path), "%s", path);
	return c->lib;
}

static bool load_under(struct wl_cupti *c, const char *root)
{
	static const char *const places[] = {"extras/CUPTI/lib64", "lib64", "lib",
	                                     "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"};
	static const char *const names[] = {"libcupti.so.13", "libcupti.so.12", "libcupti.so"};
	for (size_t n = 0; root && n < sizeof(names) / sizeof(names[0]); n++)
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			char path[sizeof(c->path)];
			int len =
			    snprintf(path, sizeof(path), "%s/%s/%s", root, places[i], names[n]);
			if (len > 0 && (size_t)len < sizeof(path) && load(c, path))
				return true;
		}
	return false;
}

int wl_cupti_open(struct wl_cupti *c, const char *path)
{
	memset(c, 0, sizeof(*c));
	bool found = path ? load(c, path)
	                  : load(c, "libcupti.so.13") || load_under(c, getenv("CUDA_HOME")) ||
	                        load_under(c, getenv("CUDA_PATH")) ||
	                        load_under(c, "/usr/local/cuda") || load(c, "libcupti.so.12");
	if (!found) {
		const char *why = dlerror();
		snprintf(c->why, sizeof(c->why), "no CUPTI library: %s", why ? why : "not found");
		return -1;
	}
	if (bind_functions(c) != 0)
		return -1;
	if (c->GetVersion(&c->version) != WL_CUPTI_OK)
		c->version = 0;
	return 0;
}

const char *wl_cupti_text(const struct wl_cupti *c, int result)
{
	static char bufs[4][128];
	static unsigned next;
	char *buf = bufs[__atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % 4];
	const char *text = NULL;
	if (c->GetResultString(result, &text) != WL_CUPTI_OK || !text)
		text = "unknown to CUPTI itself";
	snprintf(buf, sizeof(bufs[0]), "%d (%s)", result, text);
	return buf;
}

/* ---- collecting */
static void on_request(uint8_t **buf, size_t *size, size_t *max)
{
	*max = 0; /* as many records as fit */
	*size = BUFFER_BYTES;
	*buf = aligned_alloc(BUFFER_ALIGN, BUFFER_BYTES);
	if (!*buf)
		*size = 0; /* CUPTI then drops records, and counts them */
}

static uint64_t at64(const uint8_t *r, size_t offset)
{
	uint64_t v;
	memcpy(&v, r + offset, sizeof(v));
	return v;
}

static uint32_t at32(const uint8_t *r, size_t offset)
{
	uint32_t v;
	memcpy(&v, r + offset, sizeof(v));
	return v;
}

static struct wl_cupti_record *append(struct wl_cupti_collected *to)
{
	if (to->n == to->room) {
		size_t room = to->room ? 2 * to->room : 4096;
		struct wl_cupti_record *v =
		    room > RECORDS_MAX ? NULL : realloc(to->v, room * sizeof(*v));
		if (!v)
			return NULL;
		to->v = v;
		to->room = room;
	}
	struct wl_cupti_record *r = &to->v[to->n++];
	memset(r, 0, sizeof(*r));
	return r;
}

static void read_kernel(struct wl_cupti_record *to, const uint8_t *r)
{
	to->start = at64(r, WL_CUPTI_K_START);
	to->end = at64(r, WL_CUPTI_K_END);
	to->queued = at64(r, WL_CUPTI_K_QUEUED);
	to->submitted = at64(r, WL_CUPTI_K_SUBMITTED);
	to->graph_node = at64(r, WL_CUPTI_K_GRAPH_NODE);
	to->device = at32(r, WL_CUPTI_K_DEVICE);
	to->context = at32(r, WL_CUPTI_K_CONTEXT);
	to->stream = at32(r, WL_CUPTI_K_STREAM);
	to->correlation = at32(r, WL_CUPTI_K_CORRELATION);
	to->graph = at32(r, WL_CUPTI_K_GRAPH);
	memcpy(to->grid, r + WL_CUPTI_K_GRID, sizeof(to->grid));
	to->name = (const char *)(uintptr_t)at64(r, WL_CUPTI_K_NAME);
}

/* One record of a buffer that ends at `end`. */
static void take_record(struct wl_cupti_collected *to, const uint8_t *r, const uint8_t *end)
{
	if (r > end || (size_t)(end - r) < sizeof(uint32_t)) {
		to->truncated++;
		return;
	}
	int kind = (int)at32(r, 0);
	size_t need = kind == WL_CUPTI_KERNEL  ? WL_CUPTI_K_PREFIX
	              : kind == WL_CUPTI_GRAPH ? WL_CUPTI_G_PREFIX
	                                       : 0;
	if (!need) {
		*(kind == WL_CUPTI_DRIVER ? &to->driver : &to->other) += 1;
		return;
	}
	struct wl_cupti_record *record = NULL;
	if ((size_t)(end - r) >= need)
		record = append(to);
	if (!record) {
		to->truncated++;
		return;
	}
	record->kind = kind;
	if (kind == WL_CUPTI_KERNEL) {
		read_kernel(record, r);
	} else {
		record->correlation = at32(r, 4);
		record->start = at64(r, WL_CUPTI_G_START);
		record->end = at64(r, WL_CUPTI_G_END);
	}
}

static void on_complete(CUcontext context, uint32_t stream, uint8_t *buf, size_t size, size_t valid)
{
	uint8_t *r = NULL, *before = NULL;
	size_t dropped = 0;
	pthread_mutex_lock(&lock);
	while (valid >= sizeof(uint32_t) &&
	       active->ActivityGetNextRecord(buf, valid, (void **)&r) == WL_CUPTI_OK && r) {
		if (before && at32(before, 0) == WL_CUPTI_KERNEL)
			collected.kernel_bytes = (size_t)(r - before);
		take_record(&collected, r, buf + valid);
		before = r;
	}
	if (active->ActivityGetNumDroppedRecords &&
	    active->ActivityGetNumDroppedRecords(context, stream, &dropped) == WL_CUPTI_OK)
		collected.dropped += dropped;
	collected.buffers++;
	pthread_mutex_unlock(&lock);
	free(buf);
}

int wl_cupti_collect(struct wl_cupti *c)
{
	active = c;
	int r = WL_CUPTI_OK;
	if (c->ActivityRegisterTimestampCallback)
		r = c->ActivityRegisterTimestampCallback(wl_now_ns);
	return r != WL_CUPTI_OK ? r : c->ActivityRegisterCallbacks(on_request, on_complete);
}

int wl_cupti_take(struct wl_cupti *c, struct wl_cupti_collected *out)
{
	/* the callers have synchronised: every record is complete, whatever CUPTI thinks of its
	 * buffer */
	int r = c->ActivityFlushAll(FLUSH_FORCED);
	pthread_mutex_lock(&lock);
	*out = collected;
	memset(&collected, 0, sizeof(collected));
	pthread_mutex_unlock(&lock);
	return r;
}
