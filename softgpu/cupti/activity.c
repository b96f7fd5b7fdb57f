// SPDX-License-Identifier: Apache-2.0
/* activity.c: which records are wanted, and the settings that go with them. */
#include "double.h"

#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>

static rein_a32 kinds_on[CUPTI_ACTIVITY_KIND_COUNT];
static rein_a32 api_on[SG_CALLS];
static rein_a32 latency, thread_id_type;

/* ---- kinds */

/* OVERHEAD is one without records: the double has no overhead in the model's time. */
static bool is_kind(CUpti_ActivityKind kind)
{
	return kind == CUPTI_ACTIVITY_KIND_DRIVER || kind == CUPTI_ACTIVITY_KIND_OVERHEAD ||
	       (kind != CUPTI_ACTIVITY_KIND_KERNEL && sg_cupti_record_bytes(kind));
}

/* One line a kind. */
static CUptiResult refuse(CUpti_ActivityKind kind)
{
	static rein_a32 said[CUPTI_ACTIVITY_KIND_COUNT];
	if (kind <= CUPTI_ACTIVITY_KIND_INVALID || kind >= CUPTI_ACTIVITY_KIND_COUNT)
		return CUPTI_ERROR_INVALID_KIND; /* of another version */
	bool serial = kind == CUPTI_ACTIVITY_KIND_KERNEL;
	if (!rein_swap_seqcst(&said[kind], 1))
		sg_cupti_say(serial ? "no records of kind KERNEL (%d), which would serialise all "
		                      "kernels: enable CONCURRENT_KERNEL"
		                    : "no activity records of kind %d on the software GPU",
		             (int)kind);
	return serial ? CUPTI_ERROR_NOT_COMPATIBLE : CUPTI_ERROR_INVALID_KIND;
}

static void set_kind(CUpti_ActivityKind kind, bool on)
{
	rein_store_release(&kinds_on[kind], on);
	for (int i = 0; kind == CUPTI_ACTIVITY_KIND_DRIVER && i < SG_CALLS; i++)
		rein_store_release(&api_on[i], on);
	if (on && kind == CUPTI_ACTIVITY_KIND_GRAPH_TRACE)
		sg_cupti_record_graphs();
	if (on)
		sg_cupti_worker_start();
	sg_cupti_listen();
}

CUptiResult cuptiActivityEnable(CUpti_ActivityKind kind)
{
	if (!sg_cupti_driver())
		return sg_cupti_result(CUPTI_ERROR_NOT_INITIALIZED);
	if (!is_kind(kind))
		return sg_cupti_result(refuse(kind));
	set_kind(kind, true);
	return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityDisable(CUpti_ActivityKind kind)
{
	if (!sg_cupti_driver())
		return sg_cupti_result(CUPTI_ERROR_NOT_INITIALIZED);
	if (!is_kind(kind))
		return sg_cupti_result(CUPTI_ERROR_INVALID_KIND);
	set_kind(kind, false);
	return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityEnableDriverApi(CUpti_CallbackId cbid, uint8_t enable)
{
	if (!sg_cupti_driver())
		return sg_cupti_result(CUPTI_ERROR_NOT_INITIALIZED);
	int id = sg_cupti_call_of(cbid);
	if (id < 0 && !enable)
		return CUPTI_SUCCESS;
	if (id < 0) {
		sg_cupti_say("no records of driver call %u: the software GPU has them for "
		             "launches, copies, sets and synchronisation",
		             cbid);
		return sg_cupti_result(CUPTI_ERROR_NOT_SUPPORTED);
	}
	rein_store_release(&api_on[id], enable != 0);
	if (enable)
		sg_cupti_worker_start();
	sg_cupti_listen();
	return CUPTI_SUCCESS;
}

bool sg_cupti_kind_on(CUpti_ActivityKind kind)
{
	return rein_load_relaxed(&kinds_on[kind]);
}

bool sg_cupti_api_on(enum sg_call_id id)
{
	return rein_load_relaxed(&api_on[id]);
}

bool sg_cupti_records_on(void)
{
	for (int i = 0; i < CUPTI_ACTIVITY_KIND_COUNT; i++)
		if (rein_load_acquire(&kinds_on[i]))
			return true;
	for (int i = 0; i < SG_CALLS; i++)
		if (rein_load_acquire(&api_on[i]))
			return true;
	return false;
}

void sg_cupti_kinds_off(void)
{
	for (int i = 0; i < CUPTI_ACTIVITY_KIND_COUNT; i++)
		rein_store_release(&kinds_on[i], 0);
	for (int i = 0; i < SG_CALLS; i++)
		rein_store_release(&api_on[i], 0);
}

/* ---- settings */

CUptiResult cuptiActivityEnableLatencyTimestamps(uint8_t enable)
{
	rein_store_relaxed(&latency, enable != 0);
	return CUPTI_SUCCESS;
}

bool sg_cupti_latency_on(void)
{
	return rein_load_relaxed(&latency);
}

/* Only Blackwell has it. */
CUptiResult cuptiActivityEnableHWTrace(uint8_t enable)
{
	return enable ? sg_cupti_result(CUPTI_ERROR_NOT_SUPPORTED) : CUPTI_SUCCESS;
}

CUptiResult cuptiSetThreadIdType(CUpti_ActivityThreadIdType type)
{
	if (type != CUPTI_ACTIVITY_THREAD_ID_TYPE_DEFAULT &&
	    type != CUPTI_ACTIVITY_THREAD_ID_TYPE_SYSTEM)
		return sg_cupti_result(CUPTI_ERROR_NOT_SUPPORTED);
	rein_store_relaxed(&thread_id_type, (uint32_t)type);
	return CUPTI_SUCCESS;
}

CUptiResult cuptiGetThreadIdType(CUpti_ActivityThreadIdType *type)
{
	if (!type)
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	*type = (CUpti_ActivityThreadIdType)rein_load_relaxed(&thread_id_type);
	return CUPTI_SUCCESS;
}

uint32_t sg_cupti_thread_id(void)
{
	if (rein_load_relaxed(&thread_id_type) == CUPTI_ACTIVITY_THREAD_ID_TYPE_SYSTEM)
		return (uint32_t)syscall(SYS_gettid);
	return (uint32_t)pthread_self(); /* its low half, as the record has room for */
}

/* ---- attributes: kept and given back. They are about memory for buffers, of which a model has no
 * need: the records of all threads go into one buffer of the client's at a time. */

static struct {
	const CUpti_ActivityAttribute attr;
	const size_t bytes;
	uint64_t value;
} attributes[] = {
    {CUPTI_ACTIVITY_ATTR_DEVICE_BUFFER_SIZE, sizeof(size_t), 3200000},
    {CUPTI_ACTIVITY_ATTR_DEVICE_BUFFER_SIZE_CDP, sizeof(size_t), 8 << 20},
    {CUPTI_ACTIVITY_ATTR_DEVICE_BUFFER_POOL_LIMIT, sizeof(size_t), 250},
    {CUPTI_ACTIVITY_ATTR_PROFILING_SEMAPHORE_POOL_SIZE, sizeof(size_t), 25000},
    {CUPTI_ACTIVITY_ATTR_PROFILING_SEMAPHORE_POOL_LIMIT, sizeof(size_t), 250},
    {CUPTI_ACTIVITY_ATTR_ZEROED_OUT_ACTIVITY_BUFFER, sizeof(uint8_t), 0},
    {CUPTI_ACTIVITY_ATTR_DEVICE_BUFFER_PRE_ALLOCATE_VALUE, sizeof(size_t), 3},
    {CUPTI_ACTIVITY_ATTR_PROFILING_SEMAPHORE_PRE_ALLOCATE_VALUE, sizeof(size_t), 3},
    {CUPTI_ACTIVITY_ATTR_MEM_ALLOCATION_TYPE_HOST_PINNED, sizeof(uint8_t), 0},
    {CUPTI_ACTIVITY_ATTR_PER_THREAD_ACTIVITY_BUFFER, sizeof(uint8_t), 1},
    {CUPTI_ACTIVITY_ATTR_DEVICE_BUFFER_SIZE_DEVICE_GRAPHS, sizeof(size_t), 16 << 20},
};
static pthread_mutex_t attribute_lock = PTHREAD_MUTEX_INITIALIZER;

static CUptiResult attribute(CUpti_ActivityAttribute attr, size_t *size, void *value, bool set)
{
	if (!size || !value)
		return CUPTI_ERROR_INVALID_PARAMETER;
	for (size_t i = 0; i < REIN_ARRAY_LEN(attributes); i++) {
		if (attributes[i].attr != attr)
			continue;
		if (*size < attributes[i].bytes)
			return CUPTI_ERROR_PARAMETER_SIZE_NOT_SUFFICIENT;
		pthread_mutex_lock(&attribute_lock);
		memcpy(set ? (void *)&attributes[i].value : value,
		       set ? value : (void *)&attributes[i].value, attributes[i].bytes);
		pthread_mutex_unlock(&attribute_lock);
		*size = attributes[i].bytes;
		return CUPTI_SUCCESS;
	}
	return CUPTI_ERROR_INVALID_PARAMETER;
}

CUptiResult cuptiActivitySetAttribute(CUpti_ActivityAttribute attr, size_t *valueSize, void *value)
{
	return sg_cupti_result(attribute(attr, valueSize, value, true));
}

CUptiResult cuptiActivityGetAttribute(CUpti_ActivityAttribute attr, size_t *valueSize, void *value)
{
	return sg_cupti_result(attribute(attr, valueSize, value, false));
}

/* ---- the end */

/* Delivers what there is, then nothing more comes until something is enabled again. */
CUptiResult cuptiFinalize(void)
{
	sg_cupti_kinds_off();
	sg_cupti_unsubscribe_all();
	sg_cupti_listen();
	CUptiResult r = sg_cupti_flush(true);
	return r == CUPTI_ERROR_INVALID_OPERATION ? CUPTI_SUCCESS : sg_cupti_result(r);
}
