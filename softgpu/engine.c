// SPDX-License-Identifier: Apache-2.0
/*
 * engine.c: the life of the engine: one thread per process that does what falls due, its lock,
 * fork, the end of the process. core.h says how the parts fit together.
 */
#include "core.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "../common/clock.h"
#include "../common/futex.h"

struct sg_core sg_core = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER,
};

/* ---- the lock */

CUresult sg_core_enter(void)
{
	if (rein_load_relaxed(&sg_core.forked))
		return CUDA_ERROR_NOT_INITIALIZED;
	pthread_mutex_lock(&sg_core.lock);
	if (REIN_LIKELY(sg_core.state == SG_CORE_ON))
		return CUDA_SUCCESS;
	CUresult r =
	    sg_core.state == SG_CORE_DOWN ? CUDA_ERROR_DEINITIALIZED : CUDA_ERROR_NOT_INITIALIZED;
	pthread_mutex_unlock(&sg_core.lock);
	return r;
}

static void wake_engine(void)
{
	sg_core.sleep_until_ns = 0; /* once is enough */
	rein_add_release(sg_core.bell, 1);
	rein_futex_wake_all(sg_core.bell);
}

void sg_core_leave(void)
{
	if (sg_core.sleep_until_ns && sg_timeline_wake_ns(rein_now_ns()) < sg_core.sleep_until_ns)
		wake_engine();
	pthread_mutex_unlock(&sg_core.lock);
}

void sg_core_poison(struct sg_domain *d, CUresult error, const char *text)
{
	if (rein_load_relaxed(&d->error) != CUDA_SUCCESS)
		return;
	rein_store_release(&d->error, (uint32_t)error);
	if (text && *text)
		sg_record_say("%s", text);
}

/* ---- the engine thread */

CUresult sg_core_spawn(void *(*fn)(void *), void *arg, const char *name)
{
	/* the application's signals are for the application's threads */
	sigset_t all, old;
	pthread_t thread;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int e = pthread_create(&thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (e)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_setname_np(thread, name);
	pthread_detach(thread);
	return CUDA_SUCCESS;
}

static CUresult bring_up(void)
{
	char why[320] = "out of memory";
	sg_record_init(sg_core.model);
	sg_executor_init();
	sg_core.bell = &sg_core.own_bell;
	if (sg_timeline_init() != 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (sg_core.model->mode == SG_MODE_FAST)
		return CUDA_SUCCESS;
	if (sg_share_open(sg_core.model, &sg_core.share, why, sizeof(why)) != 0) {
		sg_record_say("%s", why);
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
	sg_core.bell = sg_share_bell(sg_core.share);
	return CUDA_SUCCESS;
}

/* A GPU does not wait for a CPU: wake up on time where the system allows. */
static void be_punctual(void)
{
	prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
	setpriority(PRIO_PROCESS, 0, -10); /* of this thread; refused without privilege */
}

static void set_state(enum sg_core_state state)
{
	sg_core.state = state;
	pthread_cond_broadcast(&sg_core.changed);
}

static void run_engine(void)
{
	while (sg_core.state == SG_CORE_ON) {
		uint32_t seen = rein_load_acquire(sg_core.bell); /* before looking at the device */
		sg_timeline_run(rein_now_ns());
		uint64_t now = rein_now_ns();
		uint64_t wake = sg_timeline_wake_ns(now);
		if (wake == SG_NEVER) {
			sg_executor_reap_idle();
			wake = now + 3600 * REIN_S;
		}
		sg_core.sleep_until_ns = wake;
		pthread_mutex_unlock(&sg_core.lock);
		rein_futex_wait(sg_core.bell, seen, wake);
		pthread_mutex_lock(&sg_core.lock);
		sg_core.sleep_until_ns = 0;
	}
}

static void *engine_main(void *arg)
{
	CUresult *result = arg; /* the starter waits for `changed` meanwhile */
	be_punctual();
	pthread_mutex_lock(&sg_core.lock);
	*result = bring_up();
	set_state(*result == CUDA_SUCCESS ? SG_CORE_ON : SG_CORE_FAILED);
	if (sg_core.state == SG_CORE_ON) {
		run_engine();
		sg_timeline_stop();
		if (sg_core.share)
			sg_share_close(sg_core.share);
		sg_core.share = NULL;
		sg_core.bell = &sg_core.own_bell;
		pthread_cond_broadcast(&sg_core.changed);
	}
	pthread_mutex_unlock(&sg_core.lock);
	return NULL;
}

/* ---- start, fork, end */

static void in_child(void)
{
	rein_store_relaxed(&sg_core.forked, 1);
}

/* The engine's threads run in this library's code: it must stay, whatever dlclose() is told. */
static void stay_loaded(void)
{
	Dl_info info;
	if (dladdr(&sg_core, &info) && info.dli_fname)
		dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
	dlerror();
}

static CUresult start_locked(void)
{
	CUresult result = CUDA_ERROR_NOT_INITIALIZED;
	sg_core.model = sg_model(NULL);
	if (!sg_core.model)
		return CUDA_ERROR_INVALID_VALUE;
	static bool prepared;
	if (!prepared) {
		if (pthread_atfork(NULL, NULL, in_child) != 0)
			return CUDA_ERROR_OUT_OF_MEMORY;
		stay_loaded();
		prepared = true;
	}
	sg_core.state = SG_CORE_STARTING;
	sg_core.nice = getpriority(PRIO_PROCESS, 0);
	CUresult r = sg_core_spawn(engine_main, &result, "softgpu");
	if (r != CUDA_SUCCESS) {
		set_state(SG_CORE_OFF);
		return r;
	}
	while (sg_core.state == SG_CORE_STARTING)
		pthread_cond_wait(&sg_core.changed, &sg_core.lock);
	if (sg_core.state == SG_CORE_FAILED)
		sg_core.state = SG_CORE_OFF; /* the cause may go away */
	return result;
}

CUresult sg_core_start(void)
{
	if (rein_load_relaxed(&sg_core.forked))
		return CUDA_ERROR_NOT_INITIALIZED;
	CUresult r = CUDA_SUCCESS;
	pthread_mutex_lock(&sg_core.lock);
	while (sg_core.state == SG_CORE_STARTING)
		pthread_cond_wait(&sg_core.changed, &sg_core.lock);
	if (sg_core.state == SG_CORE_OFF)
		r = start_locked();
	else if (sg_core.state == SG_CORE_DOWN)
		r = CUDA_ERROR_DEINITIALIZED;
	pthread_mutex_unlock(&sg_core.lock);
	return r;
}

static void report_overruns(void)
{
	const struct sg_stats *st = &sg_core.stats;
	if (!st->overruns || !sg_core.model->measuring)
		return;
	sg_record_say(
	    "%" PRIu64 " of %" PRIu64 " commands took longer to execute than half of their "
	    "modelled time (the worst by %" PRIu64 " us): wall-clock figures of this run "
	    "are not valid",
	    st->overruns, st->kernels + st->copies + st->sets, st->worst_overrun_ns / 1000);
}

/* Leaves the shared device. Bounded: if the engine thread does not get to it, the others find
 * this process dead soon enough. Unfinished work ends with the process, as on a GPU. */
__attribute__((destructor)) static void end_of_process(void)
{
	if (rein_load_relaxed(&sg_core.forked))
		return;
	uint64_t until_ns = rein_now_ns() + 300 * REIN_MS;
	while (pthread_mutex_trylock(&sg_core.lock) != 0) {
		if (rein_now_ns() >= until_ns)
			return;
		usleep(500);
	}
	if (sg_core.state == SG_CORE_ON) {
		sg_core.state = SG_CORE_DOWN;
		wake_engine();
		struct timespec until = rein_timespec(until_ns);
		int e = 0;
		while (sg_core.share && !e)
			e = pthread_cond_clockwait(&sg_core.changed, &sg_core.lock, CLOCK_MONOTONIC,
			                           &until);
		report_overruns();
		sg_record_stats(sg_core.model, &sg_core.stats);
	}
	pthread_mutex_unlock(&sg_core.lock);
}

void sg_engine_stats(struct sg_stats *out)
{
	memset(out, 0, sizeof(*out));
	if (sg_core_enter() != CUDA_SUCCESS)
		return;
	*out = sg_core.stats;
	for (uint32_t i = 0; i < sg_core.model->n_devices; i++)
		out->busy_ns += sg_core.device[i].sched.busy_ns;
	sg_core_leave();
}
