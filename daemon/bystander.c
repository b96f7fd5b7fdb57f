// SPDX-License-Identifier: Apache-2.0
#include "bystander.h"

#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "../common/clock.h"
#include "loop.h"

struct rein_bystander_watch {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t asked, done; /* by CLOCK_MONOTONIC */
	bool looking, stop, fresh;
	unsigned n_clients;
	pid_t client[REIN_CLIENTS_MAX + 1];
	struct rein_bystanders result;
	uint64_t result_ns; /* when that look began */
};

static void *watch_main(void *arg)
{
	struct rein_bystander_watch *w = arg;
	struct rein_bystanders found;
	setpriority(PRIO_PROCESS, (id_t)gettid(), 19);
	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		if (!w->looking) {
			pthread_cond_wait(&w->asked, &w->lock);
			continue;
		}
		pthread_mutex_unlock(&w->lock); /* the list does not change while looking is set */
		uint64_t began_ns = rein_now_ns();
		rein_bystander_scan("/proc", "/dev/shm", w->client, w->n_clients, &found);
		pthread_mutex_lock(&w->lock);
		w->result_ns = began_ns;
		w->result = found;
		w->fresh = true;
		w->looking = false;
		pthread_cond_broadcast(&w->done);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

struct rein_bystander_watch *rein_bystander_start(void)
{
	struct rein_bystander_watch *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;
	if (!w)
		return NULL;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->asked, &attr);
	pthread_cond_init(&w->done, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&w->thread, NULL, watch_main, w) != 0) {
		free(w);
		return NULL;
	}
	return w;
}

void rein_bystander_stop(struct rein_bystander_watch *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->asked);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	free(w);
}

void rein_bystander_look(struct rein_bystander_watch *w, const pid_t *client, unsigned n_clients)
{
	pthread_mutex_lock(&w->lock);
	if (!w->looking) {
		w->n_clients = n_clients < REIN_CLIENTS_MAX + 1 ? n_clients : REIN_CLIENTS_MAX + 1;
		memcpy(w->client, client, w->n_clients * sizeof(*client));
		w->looking = true;
		pthread_cond_signal(&w->asked);
	}
	pthread_mutex_unlock(&w->lock);
}

bool rein_bystander_get(struct rein_bystander_watch *w, struct rein_bystanders *out,
                        uint64_t *began_ns)
{
	pthread_mutex_lock(&w->lock);
	bool fresh = w->fresh;
	if (fresh) {
		*out = w->result;
		*began_ns = w->result_ns;
	}
	w->fresh = false;
	pthread_mutex_unlock(&w->lock);
	return fresh;
}

bool rein_bystander_wait(struct rein_bystander_watch *w, int timeout_ms)
{
	struct timespec until = rein_timespec(rein_now_ns() + (uint64_t)timeout_ms * REIN_MS);
	int err = 0;
	pthread_mutex_lock(&w->lock);
	while (w->looking && !err)
		err = pthread_cond_timedwait(&w->done, &w->lock, &until);
	bool done = !w->looking;
	pthread_mutex_unlock(&w->lock);
	return done;
}
