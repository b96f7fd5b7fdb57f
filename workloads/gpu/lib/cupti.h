// SPDX-License-Identifier: Apache-2.0
/*
 * cupti.h: the part of CUPTI's activity interface that the probes use, loaded at run time and
 * declared here, so that they build where CUPTI's headers are missing and start where its library
 * is. Numbers and layouts are those of CUPTI 13.0's cupti_activity.h and cupti_callbacks.h;
 * tests/unit/test_cupti.c compares them with the installed headers.
 *
 * Of a kernel record only the part is read that is the same in all versions of the structure
 * (5 to 10): records are stepped over by CUPTI itself.
 */
#ifndef WORKLOADS_GPU_LIB_CUPTI_H
#define WORKLOADS_GPU_LIB_CUPTI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda.h>

enum { /* of CUpti_ActivityKind; the last is that of 13.1 and newer */
       WL_CUPTI_DRIVER = 4,
       WL_CUPTI_KERNEL = 10, /* CONCURRENT_KERNEL: the one that does not serialise kernels */
       WL_CUPTI_GRAPH = 51,
       WL_CUPTI_CONTEXT_SWITCH = 57,
};
enum { /* CUptiResult */
       WL_CUPTI_OK = 0,
       WL_CUPTI_MULTIPLE_SUBSCRIBERS = 39,
};
#define WL_CUPTI_DOMAIN_DRIVER 1
#define WL_CUPTI_CBID_LAUNCH 307 /* cuLaunchKernel */
#define WL_CUPTI_NAME_BYTES 64   /* the longest name of a subscriber */

/* Offsets in a kernel record. */
enum {
	WL_CUPTI_K_START = 16,
	WL_CUPTI_K_END = 24,
	WL_CUPTI_K_DEVICE = 40,
	WL_CUPTI_K_CONTEXT = 44,
	WL_CUPTI_K_STREAM = 48,
	WL_CUPTI_K_GRID = 52,
	WL_CUPTI_K_CORRELATION = 92,
	WL_CUPTI_K_NAME = 104,
	WL_CUPTI_K_QUEUED = 120,
	WL_CUPTI_K_SUBMITTED = 128,
	WL_CUPTI_K_GRAPH_NODE = 144,
	WL_CUPTI_K_GRAPH = 156,
	WL_CUPTI_K_PREFIX = 160,
};
/* And in a graph record. */
enum {
	WL_CUPTI_G_START = 8,
	WL_CUPTI_G_END = 16,
	WL_CUPTI_G_PREFIX = 24,
};

struct wl_cupti_subscriber_params { /* CUpti_SubscriberParams */
	size_t size;
	const char *name;
	char *incumbent;
	size_t incumbent_size;
};

typedef void wl_cupti_callback(void *arg, int domain, uint32_t cbid, const void *data);

struct wl_cupti {
	void *lib;
	char path[512];
	char why[768]; /* after wl_cupti_open has failed: one line */
	uint32_t version;
	/* the functions, by their names after "cupti"; those of the second block may be NULL */
	int (*GetVersion)(uint32_t *version);
	int (*GetResultString)(int result, const char **text);
	int (*Subscribe)(void **subscriber, wl_cupti_callback *fn, void *arg);
	int (*Unsubscribe)(void *subscriber);
	int (*EnableCallback)(uint32_t on, void *subscriber, int domain, uint32_t cbid);
	int (*ActivityRegisterCallbacks)(void (*request)(uint8_t **buf, size_t *size, size_t *max),
	                                 void (*complete)(CUcontext context, uint32_t stream,
	                                                  uint8_t *buf, size_t size, size_t valid));
	int (*ActivityEnable)(int kind);
	int (*ActivityDisable)(int kind);
	int (*ActivityGetNextRecord)(uint8_t *buf, size_t valid, void **record);
	int (*ActivityFlushAll)(uint32_t flags);

	int (*Subscribe_v2)(void **subscriber, wl_cupti_callback *fn, void *arg,
	                    struct wl_cupti_subscriber_params *params);
	int (*ActivityRegisterTimestampCallback)(uint64_t (*now)(void));
	int (*ActivityGetNumDroppedRecords)(CUcontext context, uint32_t stream, size_t *dropped);
	int (*ActivityEnableDriverApi)(uint32_t cbid, uint8_t on);
	int (*ActivityEnableLatencyTimestamps)(uint8_t on);
	int (*ActivityEnableHWTrace)(uint8_t on);
	int (*ActivityEnable_v2)(void *subscriber, int kind, void *config);
};

/* One kernel or graph as CUPTI saw it; times in ns of CLOCK_MONOTONIC. */
struct wl_cupti_record {
	int kind;
	uint64_t start, end, queued, submitted, graph_node;
	uint32_t device, context, stream, correlation, graph;
	int32_t grid[3];
	const char *name; /* stays valid as long as its module is loaded */
};

struct wl_cupti_collected {
	struct wl_cupti_record *v; /* kernels and graphs, in the order of delivery */
	size_t n, room;
	size_t driver, other; /* further records */
	size_t dropped;
	size_t kernel_bytes; /* from one kernel record to the next, 0: not seen */
	size_t buffers, truncated;
};

/* Loads the library: `path`, or, if NULL, the first of the usual places. 0, or -1 with why. */
int wl_cupti_open(struct wl_cupti *c, const char *path);
/* "39 (CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED)"; one of 4 rotating buffers */
const char *wl_cupti_text(const struct wl_cupti *c, int result);

/* Registers the buffers and the clock; before any kind is enabled, once in a process. A CUPTI
 * error code. */
int wl_cupti_collect(struct wl_cupti *c);
/* Flushes, and hands over what has come since the last call; free(out->v). A CUPTI error code. */
int wl_cupti_take(struct wl_cupti *c, struct wl_cupti_collected *out);

#endif
