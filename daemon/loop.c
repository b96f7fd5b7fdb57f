// SPDX-License-Identifier: Apache-2.0
/* loop.c: the arbiter's thread: sleeping, spinning, doorbells, calls from the session thread. */
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "../common/clock.h"
#include "../common/futex.h"
#include "../common/log.h"
#include "histogram.h"
#include "sched.h"
#include "vitals.h"

#define SAY_LINES 32u /* power of two */
#define EVENTS 64
#define FULL_SCAN_NS (20 * REIN_US) /* spinning: how often the other clients are looked at */
#define RINGS_MAX 20000u            /* per second, of a best-effort client */

enum { CALL_NONE, CALL_PENDING, CALL_DONE };

struct rein_loop {
	struct rein_arbiter *arbiter;
	struct rein_board *board;
	pthread_t thread;
	int epoll_fd, wake_fd, timer_fd, say_fd;
	rein_a32 mode; /* session writes, arbiter reads */
	rein_a32 stop;

	/* one call at a time: session fills fn and arg, then stores CALL_PENDING */
	rein_a32 call;
	void (*fn)(struct rein_arbiter *a, void *arg, uint64_t now_ns);
	void *arg;

	/* the arbiter's thread only */
	struct rein_sched sched;
	struct rein_histogram decide;
	uint64_t urgent_ns; /* when an urgent client's word last changed */
	uint64_t armed_ns;  /* what the timer is set to; UINT64_MAX: not set */
	unsigned muted;

	/* the session's: which step it sees the arbiter in, since when, and when it last looked */
	uint64_t watched_step_ns, watched_since_ns, looked_ns;

	/* one writer (arbiter), one reader (session) */
	rein_a32 said, heard;
	char say[SAY_LINES][REIN_LOOP_SAY_LEN];
};

/* ---------------------------------------------------------------- lines for the log */

static void loop_say(void *arg, const char *line)
{
	struct rein_loop *l = arg;
	uint32_t said = rein_load_relaxed(&l->said);
	if (said - rein_load_acquire(&l->heard) == SAY_LINES)
		return; /* nobody reads; the arbiter does not wait for that */
	snprintf(l->say[said % SAY_LINES], REIN_LOOP_SAY_LEN, "%s", line);
	rein_store_release(&l->said, said + 1);
	eventfd_write(l->say_fd, 1);
}

int rein_loop_say_fd(const struct rein_loop *l)
{
	return l->say_fd;
}

bool rein_loop_heard(struct rein_loop *l, char line[REIN_LOOP_SAY_LEN])
{
	uint32_t heard = rein_load_relaxed(&l->heard);
	if (heard == rein_load_acquire(&l->said)) {
		eventfd_t drop;
		if (eventfd_read(l->say_fd, &drop) == 0 && heard != rein_load_acquire(&l->said))
			eventfd_write(l->say_fd, 1); /* came in between: do not lose the event */
		return false;
	}
	memcpy(line, l->say[heard % SAY_LINES], REIN_LOOP_SAY_LEN);
	rein_store_release(&l->heard, heard + 1);
	return true;
}

/* ---------------------------------------------------------------- is it alive? */

static void step_begins(const struct rein_loop *l)
{
	rein_store_relaxed(&rein_vitals->policy, (uint64_t)(uintptr_t)l->arbiter->policy->ops);
	rein_store_release(&rein_vitals->step_since_ns, rein_now_ns());
}

static void step_ends(void)
{
	rein_store_release(&rein_vitals->step_since_ns, 0);
}

/* Counts from the first look that saw this step, and from anew after a pause in the looks: while
 * the whole process is stopped, or gets no processor, nothing hangs. */
void rein_loop_watch(struct rein_loop *l, uint64_t now_ns)
{
	uint64_t step_ns = rein_load_acquire(&rein_vitals->step_since_ns);
	bool paused = now_ns - l->looked_ns > 2 * REIN_LOOP_WATCH_NS;
	l->looked_ns = now_ns;
	if (!step_ns || step_ns != l->watched_step_ns || paused) {
		l->watched_step_ns = step_ns;
		l->watched_since_ns = now_ns;
		return;
	}
	if (now_ns - l->watched_since_ns < REIN_LOOP_HANG_NS)
		return;
	const struct rein_policy_ops *policy = rein_vitals_policy(rein_vitals);
	rein_error("policy '%s' hangs: ending; the programs go on when their leases lapse",
	           policy ? policy->name : "none");
	_exit(REIN_EXIT_HUNG);
}

/* ---------------------------------------------------------------- calls */

void rein_loop_call(struct rein_loop *l,
                    void (*fn)(struct rein_arbiter *a, void *arg, uint64_t now_ns), void *arg)
{
	l->fn = fn;
	l->arg = arg;
	rein_store_release(&l->call, CALL_PENDING);
	eventfd_write(l->wake_fd, 1);
	while (rein_load_acquire(&l->call) != CALL_DONE) {
		uint64_t now_ns = rein_now_ns();
		rein_loop_watch(l, now_ns);
		rein_futex_wait(&l->call, CALL_PENDING, now_ns + 100 * REIN_MS);
	}
	rein_store_relaxed(&l->call, CALL_NONE);
}

static void serve_call(struct rein_loop *l, uint64_t now_ns)
{
	if (rein_load_acquire(&l->call) != CALL_PENDING)
		return;
	l->fn(l->arbiter, l->arg, now_ns);
	rein_store_release(&l->call, CALL_DONE);
	rein_futex_wake_all(&l->call);
}

/* ---------------------------------------------------------------- doorbells */

#define DRAINS_MAX 16 /* each ring is an edge: what is left over only matters to who floods */

static int doorbell_watch(struct rein_loop *l, struct rein_member *m)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = m};
	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, m->doorbell_fd, &ev) < 0 ? -errno : 0;
}

/* From our end: its warden is to look at what we wrote. It never waits, and what is in the way of
 * this byte is another of the same. */
static void doorbell_ring(struct rein_arbiter_client *c)
{
	const struct rein_member *m = (const struct rein_member *)c;
	char one = 1;
	(void)!send(m->doorbell_fd, &one, sizeof(one), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Both kinds of event name the member; members are aligned, so the low bit tells them apart. */
#define DEATH_BIT 1u

static int death_watch(struct rein_loop *l, struct rein_member *m)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = (char *)m + DEATH_BIT};
	if (m->pid_fd < 0)
		return 0;
	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, m->pid_fd, &ev) < 0 ? -errno : 0;
}

/* Out of the arbiter; the session thread frees it. */
static void member_leave(struct rein_loop *l, struct rein_member *m, uint64_t now_ns)
{
	if (m->gone)
		return;
	m->gone = true;
	if (m->muted)
		l->muted--;
	else
		epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, m->doorbell_fd, NULL);
	if (m->pid_fd >= 0)
		epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, m->pid_fd, NULL);
	rein_arbiter_leave(l->arbiter, &m->arbiter, now_ns);
}

static void rang(struct rein_loop *l, struct rein_member *m, uint64_t now_ns)
{
	if (now_ns - m->window_ns > REIN_S) {
		m->window_ns = now_ns;
		m->rings = 0;
	}
	if (m->gone)
		return;
	/* Until it is empty, so that the next ring is an edge; it cannot hold much. */
	char drop[REIN_DOORBELL_BYTES];
	for (int i = 0; i < DRAINS_MAX && read(m->doorbell_fd, drop, sizeof(drop)) > 0; i++)
		;
	if (++m->rings > RINGS_MAX && !rein_arbiter_is_urgent(&m->arbiter)) {
		char line[REIN_LOOP_SAY_LEN];
		epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, m->doorbell_fd, NULL);
		m->muted = true;
		l->muted++;
		snprintf(line, sizeof(line),
		         "%s (pid %d) floods its doorbell: ignored for a second", m->arbiter.name,
		         (int)m->arbiter.pid);
		loop_say(l, line);
	}
	rein_arbiter_look(l->arbiter, &m->arbiter, now_ns);
}

static void unmute(struct rein_loop *l, uint64_t now_ns)
{
	for (unsigned i = 0; l->muted && i < l->arbiter->n; i++) {
		struct rein_member *m = (struct rein_member *)l->arbiter->client[i];
		if (!m->muted || now_ns - m->window_ns < REIN_S)
			continue;
		m->muted = false;
		l->muted--;
		m->rings = 0;
		if (doorbell_watch(l, m))
			loop_say(l, "a doorbell could not be watched again");
	}
}

struct change {
	struct rein_loop *l;
	struct rein_member *m;
	const struct rein_arbiter_params *params;
	char *why;
	unsigned why_len;
	int err;
};

static void do_join(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	struct change *j = arg;
	j->err = rein_arbiter_join(a, &j->m->arbiter, now_ns, j->why, j->why_len);
	if (j->err)
		return;
	j->m->gone = false;
	j->err = doorbell_watch(j->l, j->m);
	if (!j->err)
		j->err = death_watch(j->l, j->m);
	if (j->err) {
		snprintf(j->why, j->why_len, "cannot watch the client: %s", strerror(-j->err));
		member_leave(j->l, j->m, now_ns);
	}
}

int rein_loop_join(struct rein_loop *l, struct rein_member *m, char *why, unsigned why_len)
{
	struct change j = {.l = l, .m = m, .why = why, .why_len = why_len};
	m->muted = false;
	m->rings = 0;
	m->window_ns = 0;
	rein_loop_call(l, do_join, &j);
	return j.err;
}

static void do_leave(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	const struct change *j = arg;
	member_leave(j->l, j->m, now_ns);
}

static void do_set(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	struct change *j = arg;
	j->err = -ESRCH;
	snprintf(j->why, j->why_len, "the program has just ended");
	if (!j->m->gone)
		j->err = rein_arbiter_set(a, &j->m->arbiter, j->params, now_ns, j->why, j->why_len);
}

int rein_loop_set(struct rein_loop *l, struct rein_member *m,
                  const struct rein_arbiter_params *params, char *why, unsigned why_len)
{
	struct change j = {.l = l, .m = m, .params = params, .why = why, .why_len = why_len};
	rein_loop_call(l, do_set, &j);
	return j.err;
}

void rein_loop_leave(struct rein_loop *l, struct rein_member *m)
{
	struct change j = {.l = l, .m = m};
	rein_loop_call(l, do_leave, &j);
}

/* ---------------------------------------------------------------- the thread */

static bool interrupted(struct rein_loop *l)
{
	return rein_load_acquire(&l->call) == CALL_PENDING || rein_load_relaxed(&l->stop);
}

static bool has_urgent(const struct rein_loop *l)
{
	for (unsigned i = 0; i < l->arbiter->n; i++)
		if (rein_arbiter_is_urgent(l->arbiter->client[i]))
			return true;
	return false;
}

static bool may_spin(struct rein_loop *l, uint64_t now_ns)
{
	switch (rein_load_relaxed(&l->mode)) {
	case REIN_MODE_SPIN:
		return has_urgent(l);
	case REIN_MODE_ADAPTIVE:
		return l->urgent_ns && now_ns - l->urgent_ns < REIN_LOOP_SPIN_NS &&
		       rein_sched_core_is_free(&l->sched, now_ns);
	default:
		return false;
	}
}

/* Reads urgent words until one changes, something else is due, or spinning stops being right. */
static void spin(struct rein_loop *l, uint64_t until_ns, uint64_t now_ns)
{
	uint64_t full_ns = now_ns;
	rein_sched_spinning(&l->sched);
	for (unsigned i = 1; !rein_arbiter_urgent_changed(l->arbiter) && !interrupted(l); i++) {
		rein_cpu_relax();
		if (i % 32)
			continue;
		now_ns = rein_now_ns();
		if (now_ns >= until_ns || !may_spin(l, now_ns))
			return;
		if (now_ns - full_ns < FULL_SCAN_NS)
			continue;
		if (rein_arbiter_changed(l->arbiter))
			return;
		full_ns = now_ns;
	}
}

static void arm(struct rein_loop *l, uint64_t at_ns)
{
	if (at_ns == l->armed_ns)
		return;
	l->armed_ns = at_ns;
	struct itimerspec its = {0};
	if (at_ns != UINT64_MAX)
		its.it_value = rein_timespec(at_ns ? at_ns : 1);
	timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &its, NULL);
}

/* The sleep protocol: say so, look once more, then sleep (abi.h, rein_board.asleep). Both are
 * sequentially consistent, instead of a fence, which ThreadSanitizer would not see. */
static void sleep_until(struct rein_loop *l, uint64_t at_ns)
{
	rein_sched_sleeping(&l->sched);
	arm(l, at_ns);
	rein_swap_seqcst(&l->board->asleep, 1);
	struct epoll_event ev[EVENTS];
	int n = 0;
	if (!rein_arbiter_changed(l->arbiter) && !interrupted(l))
		n = epoll_wait(l->epoll_fd, ev, EVENTS, -1);
	rein_store_relaxed(&l->board->asleep, 0);
	uint64_t now_ns = n > 0 ? rein_now_ns() : 0;
	for (int i = 0; i < n; i++) {
		uint64_t drop;
		if (ev[i].data.ptr == &l->wake_fd)
			eventfd_read(l->wake_fd, &drop);
		else if (ev[i].data.ptr == &l->timer_fd)
			l->armed_ns = UINT64_MAX; /* edge-triggered and set anew: never read */
		else if ((uintptr_t)ev[i].data.ptr & DEATH_BIT)
			member_leave(l, (void *)((char *)ev[i].data.ptr - DEATH_BIT), now_ns);
		else
			rang(l, ev[i].data.ptr, now_ns);
	}
}

static void *loop_main(void *arg)
{
	struct rein_loop *l = arg;
	rein_sched_init(&l->sched);
	while (!rein_load_acquire(&l->stop)) {
		step_begins(l);
		serve_call(l, rein_now_ns());
		uint64_t now_ns = rein_now_ns();
		uint64_t before = l->arbiter->decisions;
		if (rein_arbiter_urgent_changed(l->arbiter))
			l->urgent_ns = now_ns;
		rein_arbiter_scan(l->arbiter, now_ns);
		uint64_t next_ns = rein_arbiter_step(l->arbiter, now_ns);
		if (l->arbiter->decisions != before)
			rein_histogram_add(&l->decide, rein_now_ns() - now_ns);
		if (l->muted) {
			unmute(l, now_ns);
			next_ns = next_ns < now_ns + REIN_S ? next_ns : now_ns + REIN_S;
		}
		step_ends();
		if (may_spin(l, now_ns))
			spin(l, next_ns, now_ns);
		else
			sleep_until(l, next_ns);
	}
	rein_arbiter_open_all(l->arbiter);
	rein_sched_fini(&l->sched);
	return NULL;
}

/* ---------------------------------------------------------------- start and stop */

static int watch_own(struct rein_loop *l, int *fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = fd};
	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, *fd, &ev) < 0 ? -errno : 0;
}

static void loop_free(struct rein_loop *l)
{
	int fds[] = {l->epoll_fd, l->wake_fd, l->timer_fd, l->say_fd};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	rein_arbiter_free(l->arbiter);
	free(l);
}

int rein_loop_start(struct rein_loop **out, struct rein_board *board,
                    const struct rein_policy_ops *ops, const struct rein_policy_params *params,
                    enum rein_mode mode)
{
	struct rein_loop *l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->board = board;
	l->armed_ns = UINT64_MAX;
	rein_store_relaxed(&l->mode, mode);
	l->arbiter = rein_arbiter_new(board, ops, params);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->say_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (!l->arbiter || l->epoll_fd < 0 || l->wake_fd < 0 || l->say_fd < 0 || l->timer_fd < 0) {
		int failed = l->arbiter ? -errno : -ENOMEM;
		loop_free(l);
		return failed;
	}
	l->arbiter->ring = doorbell_ring;
	l->arbiter->say = loop_say;
	l->arbiter->say_arg = l;
	int err = watch_own(l, &l->wake_fd, EPOLLIN);
	if (!err)
		err = watch_own(l, &l->timer_fd, EPOLLIN | EPOLLET);
	if (!err)
		err = -pthread_create(&l->thread, NULL, loop_main, l);
	if (err) {
		loop_free(l);
		return err;
	}
	*out = l;
	return 0;
}

void rein_loop_stop(struct rein_loop *l)
{
	rein_store_release(&l->stop, 1);
	eventfd_write(l->wake_fd, 1);
	pthread_join(l->thread, NULL);
	loop_free(l);
}

void rein_loop_set_mode(struct rein_loop *l, enum rein_mode mode)
{
	rein_store_relaxed(&l->mode, mode);
	eventfd_write(l->wake_fd, 1);
}

enum rein_mode rein_loop_mode(struct rein_loop *l)
{
	return (enum rein_mode)rein_load_relaxed(&l->mode);
}

struct stats {
	struct rein_loop *l;
	struct rein_loop_stats *out;
};

static void do_stats(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	const struct stats *s = arg;
	s->out->decisions = a->decisions;
	s->out->decide_p50_ns = rein_histogram_quantile(&s->l->decide, 500);
	s->out->decide_p99_ns = rein_histogram_quantile(&s->l->decide, 990);
	s->out->decide = s->l->decide;
}

void rein_loop_stats(struct rein_loop *l, struct rein_loop_stats *out)
{
	struct stats s = {.l = l, .out = out};
	rein_loop_call(l, do_stats, &s);
}
