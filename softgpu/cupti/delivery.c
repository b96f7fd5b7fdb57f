// SPDX-License-Identifier: Apache-2.0
/*
 * delivery.c: records into the client's buffers and back to the client: by
 * cuptiActivityFlushAll(), which hands out a buffer that is not full too, and by one worker thread
 * when there is much to deliver or the flush period is over, which hands out full ones only.
 *
 * Records are complete when they are made, so a buffer never waits for one; work that has not
 * completed yet gives its record later, also after a forced flush.
 *
 * The clock: records are CLOCK_MONOTONIC; the client sees its own clock, or CLOCK_REALTIME. How
 * far that is ahead is measured at each delivery, and a new figure is used only if it differs by
 * more than the measurement can, so that times do not jitter.
 */
#include "double.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "../../common/clock.h"

#define JUMP_NS 1000 /* below this two measurements of the clocks' distance are one */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t free;
	bool busy;
	bool worker;
} turn = {.lock = PTHREAD_MUTEX_INITIALIZER, .free = PTHREAD_COND_INITIALIZER};
static __thread bool delivering; /* this thread is in here, perhaps in the client's function */

/* of whoever has the turn */
static struct {
	uint8_t *v;
	size_t size, n, records, records_max;
} buffer;
static int64_t ahead_ns;

static _Atomic(CUpti_BuffersCallbackRequestFunc) request;
static _Atomic(CUpti_BuffersCallbackCompleteFunc) complete;
static _Atomic(CUpti_TimestampCallbackFunc) client_clock;
static rein_a32 period_ms;

/* ---- the clock */

static uint64_t client_now(void)
{
	CUpti_TimestampCallbackFunc fn = rein_load_acquire(&client_clock);
	if (fn)
		return fn();
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * REIN_S + (uint64_t)ts.tv_nsec;
}

static void compare_clocks(void)
{
	uint64_t best = UINT64_MAX;
	int64_t ahead = 0;
	for (int i = 0; i < 5; i++) {
		uint64_t a = rein_now_ns(), c = client_now(), b = rein_now_ns();
		if (b - a >= best)
			continue;
		best = b - a;
		ahead = (int64_t)(c - (a + best / 2));
	}
	int64_t error = (int64_t)(best / 2) + 1;
	if (ahead >= -error && ahead <= error)
		ahead = 0; /* it is CLOCK_MONOTONIC */
	int64_t change = ahead - ahead_ns;
	if (ahead == 0 || change > JUMP_NS + error || change < -(JUMP_NS + error))
		ahead_ns = ahead;
}

CUptiResult cuptiActivityRegisterTimestampCallback(CUpti_TimestampCallbackFunc funcTimestamp)
{
	if (!funcTimestamp)
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	rein_store_release(&client_clock, funcTimestamp);
	return CUPTI_SUCCESS;
}

CUptiResult cuptiGetTimestamp(uint64_t *timestamp)
{
	if (!timestamp)
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	*timestamp = client_now();
	return CUPTI_SUCCESS;
}

/* ---- buffers */

static void hand_out(void)
{
	if (!buffer.v)
		return;
	uint8_t *v = buffer.v;
	buffer.v = NULL;
	rein_load_acquire (&complete)(NULL, 0, v, buffer.size, buffer.n);
}

static bool new_buffer(void)
{
	memset(&buffer, 0, sizeof(buffer));
	rein_load_acquire (&request)(&buffer.v, &buffer.size, &buffer.records_max);
	return buffer.v != NULL;
}

static void place(CUpti_Activity *record, size_t bytes)
{
	if (buffer.v && (buffer.size - buffer.n < bytes ||
	                 (buffer.records_max && buffer.records >= buffer.records_max)))
		hand_out();
	if (!buffer.v && !new_buffer()) {
		sg_cupti_drop(1);
		return;
	}
	if (buffer.size < bytes) { /* too small for anything */
		sg_cupti_drop(1);
		hand_out();
		return;
	}
	sg_cupti_record_shift(record, ahead_ns);
	memcpy(buffer.v + buffer.n, record, bytes);
	buffer.n += bytes;
	buffer.records++;
}

static void place_all(void)
{
	struct sg_cupti_chunk *c = sg_cupti_take_all();
	if (c)
		compare_clocks();
	while (c) {
		struct sg_cupti_chunk *next = c->next;
		for (size_t at = 0; at < c->n;) {
			CUpti_Activity *record = (CUpti_Activity *)(c->v + at);
			size_t bytes = sg_cupti_record_bytes(record->kind);
			at += bytes;
			place(record, bytes);
		}
		free(c);
		c = next;
	}
}

/* One thread at a time, without a lock: the client's functions are called here. */
CUptiResult sg_cupti_flush(bool partial)
{
	if (delivering || !rein_load_acquire(&complete))
		return CUPTI_ERROR_INVALID_OPERATION;
	pthread_mutex_lock(&turn.lock);
	while (turn.busy)
		pthread_cond_wait(&turn.free, &turn.lock);
	turn.busy = true;
	pthread_mutex_unlock(&turn.lock);
	delivering = true;
	place_all();
	if (partial && buffer.n)
		hand_out();
	delivering = false;
	pthread_mutex_lock(&turn.lock);
	turn.busy = false;
	pthread_cond_signal(&turn.free);
	pthread_mutex_unlock(&turn.lock);
	return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityRegisterCallbacks(CUpti_BuffersCallbackRequestFunc funcBufferRequested,
                                           CUpti_BuffersCallbackCompleteFunc funcBufferCompleted)
{
	if (!funcBufferRequested || !funcBufferCompleted)
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	if (!sg_cupti_driver())
		return sg_cupti_result(CUPTI_ERROR_NOT_INITIALIZED);
	rein_store_release(&request, funcBufferRequested);
	rein_store_release(&complete, funcBufferCompleted);
	sg_cupti_wake();
	return CUPTI_SUCCESS;
}

/* Forced or not, it is the same here. */
CUptiResult cuptiActivityFlushAll(uint32_t flag)
{
	return sg_cupti_result(sg_cupti_flush(true));
}

CUptiResult cuptiActivityFlush(CUcontext context, uint32_t streamId, uint32_t flag)
{
	return sg_cupti_result(sg_cupti_flush(true));
}

CUptiResult cuptiActivityGetNumDroppedRecords(CUcontext context, uint32_t streamId, size_t *dropped)
{
	if (!dropped)
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	*dropped = sg_cupti_dropped();
	return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityGetNextRecord(uint8_t *buf, size_t validBufferSizeBytes,
                                       CUpti_Activity **record)
{
	if (!buf || !record)
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	size_t at = 0;
	if (*record) {
		size_t bytes = sg_cupti_record_bytes((*record)->kind);
		if (!bytes)
			return sg_cupti_result(CUPTI_ERROR_INVALID_KIND);
		at = (size_t)((uint8_t *)*record - buf) + bytes;
	}
	if (at + sizeof(CUpti_ActivityKind) > validBufferSizeBytes)
		return sg_cupti_result(CUPTI_ERROR_MAX_LIMIT_REACHED);
	CUpti_Activity *next = (CUpti_Activity *)(buf + at);
	size_t bytes = sg_cupti_record_bytes(next->kind);
	if (!bytes || at + bytes > validBufferSizeBytes)
		return sg_cupti_result(CUPTI_ERROR_INVALID_KIND);
	*record = next;
	return CUPTI_SUCCESS;
}

/* ---- the worker */

/* Nobody has registered buffers: what there is much of is dropped. */
static void discard(void)
{
	struct sg_cupti_chunk *c = sg_cupti_take_all();
	while (c) {
		struct sg_cupti_chunk *next = c->next;
		for (size_t at = 0; at < c->n; sg_cupti_drop(1))
			at += sg_cupti_record_bytes(((CUpti_Activity *)(c->v + at))->kind);
		free(c);
		c = next;
	}
}

static void *work(void *arg)
{
	for (;;) {
		sg_cupti_wait_much(rein_load_relaxed(&period_ms));
		if (sg_cupti_flush(false) != CUPTI_SUCCESS)
			discard();
	}
	return NULL;
}

/* Without a thread records are delivered by flushes alone. */
void sg_cupti_worker_start(void)
{
	sigset_t every, old;
	pthread_t thread;
	pthread_mutex_lock(&turn.lock);
	if (!turn.worker) {
		sigfillset(&every);
		pthread_sigmask(SIG_SETMASK, &every, &old);
		turn.worker = pthread_create(&thread, NULL, work, NULL) == 0;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		if (turn.worker) {
			pthread_setname_np(thread, "softgpu-cupti");
			pthread_detach(thread);
		}
	}
	pthread_mutex_unlock(&turn.lock);
}

CUptiResult cuptiActivityFlushPeriod(uint32_t time)
{
	rein_store_relaxed(&period_ms, time);
	sg_cupti_wake();
	return CUPTI_SUCCESS;
}

/* ---- fork */

void sg_cupti_delivery_forget(void)
{
	pthread_mutex_init(&turn.lock, NULL);
	pthread_cond_init(&turn.free, NULL);
	turn.busy = turn.worker = delivering = false;
	memset(&buffer, 0, sizeof(buffer)); /* the client's, who may have it twice now */
	rein_store_release(&complete, NULL);
	rein_store_release(&request, NULL);
	rein_store_release(&client_clock, NULL);
	rein_store_relaxed(&period_ms, 0);
}
