// SPDX-License-Identifier: Apache-2.0
/*
 * cupti_abi.h: the part of CUPTI's binary interface that the agent uses, declared here so that it
 * builds where CUPTI's headers are missing and runs with whichever version the program has.
 * Numbers and layouts are those of cupti_activity.h, cupti_callbacks.h, cupti_result.h and
 * cupti_driver_cbid.h of CUPTI 12.0 to 13.0; tests/unit/test_agent_cupti.c compares them with the
 * installed headers.
 *
 * Of a record only the prefix is read that is the same in all versions of its structure (kernels 5
 * to 10, copies 5 and 6 …): CUPTI itself steps from one record to the next.
 */
#ifndef REIN_CUPTI_ABI_H
#define REIN_CUPTI_ABI_H

#include <stddef.h>
#include <stdint.h>

enum { /* CUptiResult */
       CUPTI_OK = 0,
       CUPTI_NOT_INITIALIZED = 15,
       CUPTI_MULTIPLE_SUBSCRIBERS = 39,
};

enum { /* CUpti_ActivityKind */
       CUPTI_KIND_COPY = 1,
       CUPTI_KIND_SET = 2,
       CUPTI_KIND_KERNEL = 10, /* CONCURRENT_KERNEL: KERNEL (3) would serialise all kernels */
       CUPTI_KIND_PEER_COPY = 22,
       CUPTI_KIND_GRAPH = 51,
};

#define CUPTI_THREAD_IDS_SYSTEM 1 /* CUPTI_ACTIVITY_THREAD_ID_TYPE_SYSTEM */
#define CUPTI_FLUSH_FORCED 1u     /* CUPTI_ACTIVITY_FLAG_FLUSH_FORCED */
#define CUPTI_DOMAIN_DRIVER 1     /* CUPTI_CB_DOMAIN_DRIVER_API */
#define CUPTI_ENTER 0             /* CUPTI_API_ENTER */

/* CUpti_CallbackData */
struct cupti_call {
	int site;
	int pad;
	const char *function;
	const void *params;
	void *result;
	const char *symbol;
	void *context;
	uint32_t context_id, pad2;
	uint64_t *data;
	uint32_t correlation;
};

/* CUpti_SubscriberParams */
struct cupti_subscriber_params {
	size_t size;
	const char *name;
	char *incumbent; /* of at least CUPTI_NAME_BYTES */
	size_t incumbent_size;
};
#define CUPTI_NAME_BYTES 64 /* CUPTI_OLD_SUBSCRIBER_NAME_MIN_LEN */

typedef void cupti_callback(void *arg, int domain, uint32_t cbid, const void *data);
typedef void cupti_request(uint8_t **buffer, size_t *size, size_t *records_max);
typedef void cupti_complete(void *context, uint32_t stream, uint8_t *buffer, size_t size,
                            size_t valid);

/* X(name after "cupti", must it be there, result and arguments) */
#define CUPTI_FUNCTIONS(X)                                                                         \
	X(Subscribe, 1, (void **subscriber, cupti_callback *fn, void *arg))                        \
	X(Subscribe_v2, 0,                                                                         \
	  (void **subscriber, cupti_callback *fn, void *arg, struct cupti_subscriber_params *p))   \
	X(Unsubscribe, 1, (void *subscriber))                                                      \
	X(EnableCallback, 1, (uint32_t on, void *subscriber, int domain, uint32_t cbid))           \
	X(GetResultString, 1, (int result, const char **text))                                     \
	X(SetThreadIdType, 0, (int type))                                                          \
	X(ActivityRegisterCallbacks, 1, (cupti_request * request, cupti_complete * complete))      \
	X(ActivityRegisterTimestampCallback, 1, (uint64_t(*now)(void)))                            \
	X(ActivityEnable, 1, (int kind))                                                           \
	X(ActivityDisable, 1, (int kind))                                                          \
	X(ActivityFlushAll, 1, (uint32_t flags))                                                   \
	X(ActivityGetNextRecord, 1, (uint8_t * buffer, size_t valid, void **record))               \
	X(ActivityGetNumDroppedRecords, 0, (void *context, uint32_t stream, size_t *dropped))

struct cupti_functions {
#define MEMBER(name, needed, args) int(*name) args;
	CUPTI_FUNCTIONS(MEMBER)
#undef MEMBER
};

/* Where a record has what. */
struct cupti_layout {
	uint16_t start, end, stream, correlation;
	uint16_t bytes; /* kernels: the grid, three int32 */
	uint16_t name;  /* 0: none */
	uint16_t prefix;
};
#define CUPTI_COPY_KIND 4 /* of copies, one byte */
static const struct cupti_layout cupti_kernel = {16, 24, 48, 92, 52, 104, 112};
static const struct cupti_layout cupti_copy = {16, 24, 40, 44, 8, 0, 48};
static const struct cupti_layout cupti_peer_copy = {16, 24, 40, 60, 8, 0, 64};
static const struct cupti_layout cupti_set = {16, 24, 40, 44, 8, 0, 48};
static const struct cupti_layout cupti_graph = {8, 16, 36, 4, 0, 0, 40};

/*
 * Callback IDs of the driver calls that give the GPU what the kinds above record, in their present
 * versions: launches, graph launches, copies and sets. The record of another call, as those that
 * only programs older than CUDA 3.2 make, is of no known submission.
 */
static const struct cupti_calls {
	uint16_t first, last;
} cupti_calls[] = {
    {307, 307},                         /* cuLaunchKernel */
    {442, 442},                         /* …_ptsz */
    {477, 478},                         /* cuLaunchCooperativeKernel */
    {480, 480},                         /* …MultiDevice */
    {514, 515},                         /* cuGraphLaunch */
    {652, 653},                         /* cuLaunchKernelEx */
    {276, 293},                         /* cuMemcpyHtoD_v2 … cuMemcpyHtoAAsync_v2 */
    {305, 306},                         /* cuMemcpy, cuMemcpyAsync */
    {318, 321},                         /* cuMemcpyPeer … cuMemcpy3DPeerAsync */
    {397, 410},                         /* cuMemcpyHtoD_v2_ptds … cuMemcpy3DPeer_ptds */
    {418, 427},                         /* cuMemcpyAsync_ptsz … cuMemcpy3DPeerAsync_ptsz */
    {776, 779},                         /* cuMemcpyBatchAsync, cuMemcpy3DBatchAsync */
    {796, 799},                         /* …_v2 */
    {216, 216}, {218, 218}, {220, 220}, /* cuMemsetD8Async, D16, D32 */
    {222, 222}, {224, 224}, {226, 226}, /* cuMemsetD2D8Async, D2D16, D2D32 */
    {249, 254},                         /* cuMemsetD8_v2 … cuMemsetD2D32_v2 */
    {411, 416},                         /* …_ptds */
    {428, 433},                         /* cuMemsetD8Async_ptsz … */
};

#endif
