// SPDX-License-Identifier: Apache-2.0
/*
 * rm_post.c: controls over a descriptor that was passed to another process, as the real driver
 * takes them: whoever has it may, whatever user it is. The file itself is the way: a page of it is
 * a letter box, which a thread of the process that made the file empties. One control at a time.
 *
 * What is written there is checked like any other control. A process that is stopped, or gone,
 * answers nothing: the other one is told so after ANSWER_NS. A real driver needs no answer of it.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/futex.h"
#include "api.h"
#include "core.h"
#include "rm_double.h"

#define BOX_BYTES 4096
#define ANSWER_NS REIN_S

enum { EMPTY, ASKED, ANSWERED };

struct box {
	pthread_mutex_t turn; /* robust: of who asks */
	rein_a32 state;
	uint32_t root; /* may the asker do what needs a privilege? */
	struct rein_rm_nvos54 call;
	uint64_t call_ns; /* out */
	uint8_t params[sizeof(struct rein_rm_disable)];
};
_Static_assert(sizeof(struct box) <= BOX_BYTES, "one page");

/* ---- the process that made the file */

static void *empty_it(void *arg)
{
	struct box *b = arg;
	for (;;) {
		rein_futex_wait(&b->state, EMPTY, rein_now_ns() + REIN_S);
		if (rein_load_acquire(&b->state) != ASKED) {
			if (rein_load_acquire(&b->state) == ANSWERED) /* not fetched yet */
				rein_futex_wait(&b->state, ANSWERED, rein_now_ns() + REIN_S);
			continue;
		}
		struct rein_rm_nvos54 c = b->call;
		uint8_t params[sizeof(b->params)];
		uint32_t size = c.params_size < sizeof(params) ? c.params_size : sizeof(params);
		memcpy(params, b->params, size);
		c.params = c.params ? (uintptr_t)params : 0;
		c.params_size = size;
		b->call_ns = sg_rm_control(&c, b->root);
		memcpy(b->params, params, size);
		b->call.status = c.status;
		uint32_t asked = ASKED; /* else it has been given up */
		(void)rein_cas(&b->state, &asked, ANSWERED);
		rein_futex_wake_all(&b->state);
	}
	return NULL;
}

static int init_turn(pthread_mutex_t *turn)
{
	pthread_mutexattr_t attr;
	int e = pthread_mutexattr_init(&attr);
	if (e)
		return e;
	e = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (!e)
		e = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (!e)
		e = pthread_mutex_init(turn, &attr);
	pthread_mutexattr_destroy(&attr);
	return e;
}

static struct box *map(int fd)
{
	void *at = mmap(NULL, BOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

int sg_rm_post_new(void)
{
	int fd = memfd_create(SOFTGPU_RM_FILE, MFD_CLOEXEC);
	struct box *b = fd >= 0 && ftruncate(fd, BOX_BYTES) == 0 ? map(fd) : NULL;
	if (b && init_turn(&b->turn) == 0 &&
	    sg_core_spawn(empty_it, b, "softgpu-rm") == CUDA_SUCCESS)
		return fd; /* mapped as long as the process lives */
	if (b)
		munmap(b, BOX_BYTES);
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- another process */

static bool is_such(int fd)
{
	char link[40], name[64];
	struct stat st;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = fd < 0 ? -1 : readlink(link, name, sizeof(name) - 1);
	static const char want[] = "/memfd:" SOFTGPU_RM_FILE;
	return n >= (ssize_t)strlen(want) && strncmp(name, want, strlen(want)) == 0 &&
	       fstat(fd, &st) == 0 && st.st_size == BOX_BYTES;
}

/* In its turn. False: no answer. */
static bool put(struct box *b, struct rein_rm_nvos54 *c, uint64_t *call_ns)
{
	uint64_t until = rein_now_ns() + ANSWER_NS;
	void *params = (void *)(uintptr_t)c->params;
	b->call = *c;
	b->root = geteuid() == 0;
	if (params)
		memcpy(b->params, params, c->params_size);
	rein_store_release(&b->state, ASKED);
	rein_futex_wake_all(&b->state);
	while (rein_load_acquire(&b->state) == ASKED && rein_now_ns() < until)
		rein_futex_wait(&b->state, ASKED, until);
	uint32_t was = rein_swap_seqcst(&b->state, EMPTY);
	rein_futex_wake_all(&b->state);
	if (was != ANSWERED)
		return false;
	if (params)
		memcpy(params, b->params, c->params_size);
	c->status = b->call.status;
	*call_ns = b->call_ns;
	return true;
}

int sg_rm_post_ask(int fd, struct rein_rm_nvos54 *c, uint64_t *call_ns)
{
	struct box *b = is_such(fd) ? map(fd) : NULL;
	struct timespec until;
	if (!b)
		return -ENOTTY;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 2;
	int e =
	    c->params_size > sizeof(b->params) ? EINVAL : pthread_mutex_timedlock(&b->turn, &until);
	if (e == EOWNERDEAD)
		e = pthread_mutex_consistent(&b->turn);
	if (!e) {
		e = put(b, c, call_ns) ? 0 : ETIMEDOUT;
		pthread_mutex_unlock(&b->turn);
	}
	munmap(b, BOX_BYTES);
	return -e;
}
