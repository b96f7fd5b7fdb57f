// SPDX-License-Identifier: Apache-2.0
/*
 * executor.c: the threads that run payloads and destroy finished commands. Two kinds: compute
 * workers for kernels, copies and sets, and host workers for host functions, which may take as
 * long as the application likes. They are started on demand and stay.
 *
 * Commands are destroyed by compute workers, one at a time: a destroy() that waits for a lock of
 * the application's leaves the other workers and the engine thread going.
 */
#include "core.h"

#include <stdlib.h>
#include <sys/resource.h>

#include "../common/clock.h"
#include "../common/futex.h"

#define COMPUTE_WORKERS 3 /* ptx_run() spreads a grid over the cores itself */
#define HOST_WORKERS 4
#define REAP_BATCH 64

static __thread const struct sg_queue *my_queue; /* set in workers */

static void init_queue(struct sg_queue *q, uint32_t workers_max, const char *thread_name)
{
	*q = (struct sg_queue){.workers_max = workers_max, .thread_name = thread_name};
	q->tail = &q->head;
	pthread_cond_init(&q->more, NULL);
}

void sg_executor_init(void)
{
	init_queue(&sg_core.compute, COMPUTE_WORKERS, "softgpu-run");
	init_queue(&sg_core.host, HOST_WORKERS, "softgpu-host");
}

/* ---- destroying */

bool sg_executor_reap_round(void)
{
	struct sg_item *list = sg_core.reap;
	if (!list || sg_core.reaping)
		return false;
	sg_core.reap = NULL;
	sg_core.reap_len = 0;
	sg_core.reaping = true;
	pthread_mutex_unlock(&sg_core.lock);
	for (struct sg_item *it = list; it; it = it->ready_next) {
		for (uint32_t i = 0; i < it->n; i++) {
			struct sg_cmd *c = it->nodes[i].cmd;
			if (c->destroy)
				c->destroy(c);
			else
				free(c);
		}
	}
	pthread_mutex_lock(&sg_core.lock);
	while (list) {
		struct sg_item *it = list;
		list = it->ready_next;
		it->domain->unreaped--;
		it->domain = NULL;
		sg_item_put(it);
	}
	sg_core.reaping = false;
	rein_add_release(&sg_core.reaped, 1);
	rein_futex_wake_all(&sg_core.reaped);
	return true;
}

/* ---- workers */

static uint64_t cpu_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * REIN_S + (uint64_t)ts.tv_nsec;
}

static void run_payload(struct sg_node *nd)
{
	struct sg_cmd *c = nd->cmd;
	CUresult r = CUDA_SUCCESS;
	struct sg_spent spent = {0};
	bool poisoned = rein_load_relaxed(&nd->item->domain->error) != CUDA_SUCCESS;
	if (!poisoned || c->always_run) {
		const struct sg_timeline *tl = &sg_core.device[nd->item->domain->device];
		uint64_t paused_ns = sg_hold_paused_ns(tl);
		pthread_mutex_unlock(&sg_core.lock);
		bool timed =
		    sg_core.model->mode != SG_MODE_FAST; /* else nobody asks, and it costs */
		uint64_t start_ns = rein_now_ns(), start_cpu_ns = timed ? cpu_ns() : 0;
		r = c->run(c);
		spent.cpu_ns = timed ? cpu_ns() - start_cpu_ns : 0;
		spent.wall_ns = rein_now_ns() - start_ns;
		pthread_mutex_lock(&sg_core.lock);
		paused_ns = sg_hold_paused_ns(tl) - paused_ns;
		spent.wall_ns -= paused_ns < spent.wall_ns ? paused_ns : spent.wall_ns;
	}
	sg_timeline_run(rein_now_ns()); /* it is late if its modelled end has come */
	sg_timeline_ran(nd, r, spent);
	sg_timeline_run(rein_now_ns());
}

/* Drops the lock and takes it again, which wakes the engine thread if it is due earlier now. */
static void pass_on(void)
{
	sg_core_leave();
	pthread_mutex_lock(&sg_core.lock);
}

static void *work(void *arg)
{
	struct sg_queue *q = arg;
	my_queue = q;
	setpriority(PRIO_PROCESS, 0, sg_core.nice); /* not the engine thread's, if that made us */
	pthread_mutex_lock(&sg_core.lock);
	for (;;) {
		struct sg_node *nd = q->head;
		bool down = sg_core.state != SG_CORE_ON;
		if (!down && q == &sg_core.compute && (!nd || sg_core.reap_len >= REAP_BATCH) &&
		    sg_executor_reap_round())
			continue;
		if (down || !nd) {
			q->idle++;
			pthread_cond_wait(&q->more, &sg_core.lock);
			q->idle--;
			continue;
		}
		q->head = nd->next;
		if (!q->head)
			q->tail = &q->head;
		q->len--;
		nd->next = NULL;
		run_payload(nd);
		pass_on();
	}
	return NULL;
}

/* Makes sure that somebody looks at the queue. */
static void attend(struct sg_queue *q, uint32_t wanted)
{
	uint32_t coming = my_queue == q; /* this worker looks next */
	if (wanted <= coming)
		return;
	if (q->idle) {
		pthread_cond_signal(&q->more);
		return;
	}
	if (q->workers < q->workers_max && sg_core_spawn(work, q, q->thread_name) == CUDA_SUCCESS)
		q->workers++;
}

void sg_executor_push(struct sg_queue *q, struct sg_node *nd)
{
	nd->next = NULL;
	*q->tail = nd;
	q->tail = &nd->next;
	q->len++;
	attend(q, q->len);
	if (q->workers)
		return;
	/* no thread to be had: the command cannot run, and must not hang */
	q->head = NULL;
	q->tail = &q->head;
	q->len = 0;
	sg_timeline_ran(nd, CUDA_ERROR_OUT_OF_MEMORY, (struct sg_spent){0});
}

void sg_executor_reap(struct sg_item *it)
{
	it->ready_next = sg_core.reap;
	sg_core.reap = it;
	/* a mark with something to destroy is there for that alone, as in stream-ordered freeing */
	bool soon = it->nodes[0].cmd->kind == SG_CMD_MARK;
	if (++sg_core.reap_len % REAP_BATCH == 0 || soon)
		sg_executor_reap_idle();
}

void sg_executor_reap_here(void)
{
	/* bounded: the other one could be in a destroy() that waits for the caller */
	for (int i = 0; i < 10 && !sg_executor_reap_round() && sg_core.reaping; i++) {
		uint32_t seen = rein_load_acquire(&sg_core.reaped);
		sg_core_leave();
		rein_futex_wait(&sg_core.reaped, seen, rein_now_ns() + 10 * REIN_MS);
		pthread_mutex_lock(&sg_core.lock);
	}
}

void sg_executor_reap_idle(void)
{
	if (sg_core.reap && !sg_core.reaping)
		attend(&sg_core.compute, 1);
}
