// SPDX-License-Identifier: Apache-2.0
/* server.c: starting, the session thread's loop, reload, stopping. */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "../common/sock.h"
#include "notify.h"
#include "profile.h"
#include "rundir.h"
#include "supervise.h"
#include "vitals.h"

#define EVENTS 64
#define LOG_LINES_PER_S 20
#define TICK_MS 1000
#define ADMIT_TICK_MS 250 /* while deadlines are promised */
#define ADMIT_DIRTY_MS 10 /* while an analysis is due and may not begin yet */
#define FILES_WANTED 8192 /* three per client, and ours */

bool rein_server_may_log(struct rein_server *s)
{
	uint64_t second = rein_now_ns() / REIN_S;
	if (second != s->log_second) {
		if (s->log_lines > LOG_LINES_PER_S)
			rein_info("%u lines about clients were left out",
			          s->log_lines - LOG_LINES_PER_S);
		s->log_second = second;
		s->log_lines = 0;
	}
	return ++s->log_lines <= LOG_LINES_PER_S;
}

/* ---------------------------------------------------------------- configuration */

static const struct rein_policy_ops *policy_of(const struct rein_server *s,
                                               const struct rein_config *config)
{
	if (s->options->policy)
		return s->options->policy;
	return config->policy ? config->policy : rein_policies[0];
}

static enum rein_mode mode_of(const struct rein_server *s, const struct rein_config *config)
{
	if (s->options->has_mode)
		return s->options->mode;
	return config->has_mode ? config->mode : REIN_MODE_ADAPTIVE;
}

struct set_policy {
	const struct rein_policy_ops *ops;
	struct rein_policy_params params;
	int err;
};

static void do_set_policy(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	struct set_policy *p = arg;
	/* it is the one to blame if this ends us */
	rein_store_relaxed(&rein_vitals->policy, (uint64_t)(uintptr_t)p->ops);
	p->err = rein_arbiter_set_policy(a, p->ops, &p->params, now_ns);
}

int rein_server_set_policy(struct rein_server *s, const struct rein_policy_ops *ops)
{
	struct set_policy p = {.ops = ops, .params = *rein_config_params(s->config, ops)};
	rein_loop_call(s->loop, do_set_policy, &p);
	if (!p.err) {
		if (s->policy != ops)
			rein_info("policy: %s", ops->name);
		s->policy = ops;
		s->admit.dirty = true;
	}
	return p.err;
}

static int tell(struct rein_server *s, struct rein_client *c, const struct rein_grant *g, char *err,
                size_t err_len)
{
	struct rein_arbiter_params params = rein_client_params(c, g);
	return rein_loop_set(s->loop, &c->member, &params, err, (unsigned)err_len);
}

void rein_server_update(struct rein_server *s, struct rein_client *c)
{
	struct rein_grant g;
	char why[160] = "";
	rein_client_grant(c, s->config, &g);
	if (tell(s, c, &g, why, sizeof(why)) && rein_server_may_log(s))
		rein_warn("client %u keeps its parameters: %s", c->member.arbiter.policy.id, why);
}

/* The line of a refusal, for `rein set`. */
static void say_refused(const struct rein_reservation *r, char *err, size_t err_len)
{
	char later[REIN_TIME_TEXT_LEN];
	if (r->promise == REIN_PROMISE_LATER)
		snprintf(err, err_len, "not with that deadline, %s could be kept: %s",
		         rein_time_text(later, r->later_ns), r->why);
	else
		snprintf(err, err_len, "%s", r->why);
}

int rein_server_regrant(struct rein_server *s, struct rein_client *c, bool strict, char *err,
                        size_t err_len)
{
	struct rein_grant g;
	struct rein_reservation old = c->reservation, *r = &c->reservation;
	int result = 0;
	rein_client_grant(c, s->config, &g);
	if (!rein_timing_equal(&g.timing, &old.wanted))
		rein_admit_ask(s, c, c->who.pid, c->member.arbiter.name, &g, r);
	bool refused = r->promise == REIN_PROMISE_LATER || r->promise == REIN_PROMISE_REFUSED;
	if (strict && refused && !rein_timing_equal(&g.timing, &old.wanted)) {
		say_refused(r, err, err_len);
		result = -EBUSY;
	}
	if (!result)
		result = tell(s, c, &g, err, err_len);
	if (result)
		*r = old;
	else if (strcmp(c->class_name, g.class->name) != 0) {
		snprintf(c->class_name, sizeof(c->class_name), "%s", g.class->name);
		rein_metrics_move(s, c);
		rein_collector_reclass(s->collector, c->source, c->class_name);
	}
	s->admit.dirty = true;
	return result;
}

static void say_profile(const char *line)
{
	rein_warn("%s", line);
}

static void do_set_gates(struct rein_arbiter *a, void *arg, uint64_t now_ns)
{
	rein_arbiter_set_gates(a, arg, now_ns);
}

static void apply_gates(struct rein_server *s)
{
	rein_profile_read(&s->gates, s->config, say_profile);
	rein_loop_call(s->loop, do_set_gates, &s->gates);
}

int rein_server_reload(struct rein_server *s, char *err, size_t err_len)
{
	struct rein_config *fresh;
	int result = rein_config_load(&fresh, s->options->config_file, err, err_len);
	if (result)
		return result;
	struct rein_config *old = s->config;
	s->config = fresh;
	result = rein_server_set_policy(s, policy_of(s, fresh));
	if (result) {
		s->config = old;
		rein_config_free(fresh);
		snprintf(err, err_len, "cannot set the policy: %s", strerror(-result));
		return result;
	}
	rein_loop_set_mode(s->loop, mode_of(s, fresh));
	rein_trace_apply(s);
	rein_metrics_apply(s);
	apply_gates(s);
	for (struct rein_conn *c = s->conns; c; c = c->next) {
		char why[160] = "";
		if (c->client && rein_server_regrant(s, c->client, false, why, sizeof(why)))
			rein_warn("client %u keeps its parameters: %s",
			          c->client->member.arbiter.policy.id, why);
	}
	rein_config_free(old);
	rein_info("configuration read again: %u file%s", fresh->n_files,
	          fresh->n_files == 1 ? "" : "s");
	return 0;
}

/* ---------------------------------------------------------------- starting */

static int board_make(struct rein_server *s)
{
	s->board_fd = rein_memfd_new("rein-board", REIN_AREA_ALIGN);
	if (s->board_fd < 0)
		return s->board_fd;
	struct rein_board *b =
	    mmap(NULL, REIN_AREA_ALIGN, PROT_READ | PROT_WRITE, MAP_SHARED, s->board_fd, 0);
	if (b == MAP_FAILED)
		return -errno;
	s->board = b;
	b->header.major = REIN_ABI_MAJOR;
	b->header.minor = REIN_ABI_MINOR;
	b->header.size = sizeof(*b);
	b->daemon_pid = (uint32_t)rein_supervise_pid();
	if (getrandom(&b->instance, sizeof(b->instance), 0) != sizeof(b->instance) || !b->instance)
		b->instance = (uint32_t)rein_now_ns() | 1;
	b->header.magic = REIN_ABI_MAGIC;
	return rein_memfd_freeze(s->board_fd);
}

static int listen_on(struct rein_server *s, const char *file, mode_t mode, int *fd, char *err,
                     size_t err_len)
{
	const char *dir = s->options->run_dir;
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	unlink(path); /* we hold the lock: whoever made it is dead */
	*fd = rein_sock_listen(dir, file, mode, 128);
	if (*fd >= 0)
		return 0;
	snprintf(err, err_len, "cannot listen on %s: %s", path, strerror(-*fd));
	return *fd;
}

static int listen_all(struct rein_server *s, char *err, size_t err_len)
{
	char path[256];
	int result = listen_on(s, REIN_CONTROL_SOCKET, 0660, &s->control_fd, err, err_len);
	if (result)
		return result;
	gid_t group = rein_identity_group();
	snprintf(path, sizeof(path), "%s/%s", s->options->run_dir, REIN_CONTROL_SOCKET);
	if (group != (gid_t)-1 && chown(path, (uid_t)-1, group) < 0)
		rein_debug("%s stays with its group: %s", path, strerror(errno));
	return listen_on(s, REIN_CLIENT_SOCKET, 0666, &s->client_fd, err, err_len);
}

static int watch(struct rein_server *s, int fd, struct rein_watch *w, enum rein_watch_kind kind)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = w};
	w->kind = kind;
	return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static int watch_all(struct rein_server *s)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->signal_fd < 0 || s->epoll_fd < 0)
		return -errno;
	int err = watch(s, s->signal_fd, &s->on_signals, REIN_WATCH_SIGNALS);
	if (!err)
		err = watch(s, rein_loop_say_fd(s->loop), &s->on_say, REIN_WATCH_SAY);
	if (!err)
		err = watch(s, s->control_fd, &s->on_controls, REIN_WATCH_CONTROLS);
	if (!err)
		err = watch(s, s->client_fd, &s->on_clients, REIN_WATCH_CLIENTS);
	return err;
}

/* Blocked before any thread exists, so that all inherit it and signalfd gets them. */
static void block_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void raise_file_limit(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= FILES_WANTED)
		return;
	r.rlim_cur = r.rlim_max < FILES_WANTED ? r.rlim_max : FILES_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		rein_debug("the limit on open files stays: %s", strerror(errno));
}

int rein_server_start(struct rein_server *s, const struct rein_options *o, char *err,
                      size_t err_len)
{
	memset(s, 0, sizeof(*s));
	s->options = o;
	s->board_fd = s->lock_fd = s->epoll_fd = s->signal_fd = -1;
	s->client_fd = s->control_fd = s->metrics.fd = -1;
	s->started_ns = s->empty_since_ns = rein_now_ns();
	s->watchdog_ns = rein_notify_watchdog_ns();
	s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int result = rein_config_load(&s->config, o->config_file, err, err_len);
	if (!result)
		result = s->lock_fd = rein_rundir_lock(o->run_dir, err, err_len);
	if (result < 0)
		goto out;
	block_signals();
	raise_file_limit();
	snprintf(err, err_len, "cannot start");
	s->policy = policy_of(s, s->config);
	result = board_make(s);
	if (!result) {
		result = rein_loop_start(&s->loop, s->board, s->policy,
		                         rein_config_params(s->config, s->policy),
		                         mode_of(s, s->config));
	}
	if (result) {
		snprintf(err, err_len, "cannot start the arbiter: %s", strerror(-result));
	} else {
		apply_gates(s);
		result = listen_all(s, err, err_len);
	}
	if (!result)
		result = rein_trace_start(s, err, err_len);
	if (!result) {
		result = watch_all(s);
		if (result)
			snprintf(err, err_len, "cannot watch the sockets: %s", strerror(-result));
		else
			rein_metrics_apply(s);
	}
out:
	if (result < 0) {
		rein_server_stop(s);
		return result;
	}
	return 0;
}

void rein_server_stop(struct rein_server *s)
{
	rein_admit_fini(&s->admit);
	if (s->loop)
		rein_loop_stop(s->loop); /* opens all gates; clients are still mapped */
	struct rein_conn *c, *next;
	for (c = s->conns; c; c = next) {
		next = c->next;
		if (c->client)
			rein_client_free(c->client);
		close(c->fd);
		if (c->pidfd >= 0)
			close(c->pidfd);
		free(c);
	}
	rein_conn_bury(s);
	rein_metrics_stop(s);
	rein_metrics_free(s);
	if (s->collector)
		rein_collector_stop(s->collector);
	if (s->lock_fd >= 0)
		rein_rundir_clean(s->options->run_dir);
	int fds[] = {s->client_fd, s->control_fd, s->signal_fd, s->epoll_fd,
	             s->board_fd,  s->spare_fd,   s->lock_fd};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (s->board)
		munmap(s->board, REIN_AREA_ALIGN);
	rein_config_free(s->config);
}

/* ---------------------------------------------------------------- running */

static void on_signal(struct rein_server *s)
{
	struct signalfd_siginfo info;
	char err[REIN_CONFIG_ERROR_LEN];
	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGHUP) {
			rein_info("signal %u: ending", info.ssi_signo);
			s->stopping = true;
			continue;
		}
		rein_notify("RELOADING=1");
		if (rein_server_reload(s, err, sizeof(err)))
			rein_error("%s; the old configuration stays", err);
		rein_notify("READY=1");
	}
}

static void on_event(struct rein_server *s, const struct rein_watch *w)
{
	char line[REIN_LOOP_SAY_LEN];
	switch (w->kind) {
	case REIN_WATCH_CLIENTS:
		rein_conn_accept(s, false);
		break;
	case REIN_WATCH_CONTROLS:
		rein_conn_accept(s, true);
		break;
	case REIN_WATCH_SIGNALS:
		on_signal(s);
		break;
	case REIN_WATCH_SAY:
		while (rein_loop_heard(s->loop, line))
			if (rein_server_may_log(s))
				rein_warn("%s", line);
		break;
	case REIN_WATCH_SOCKET:
		rein_conn_event(s, w->conn);
		break;
	case REIN_WATCH_PROCESS:
		rein_conn_close(s, w->conn, "its process ended");
		break;
	case REIN_WATCH_METRICS:
		rein_metrics_accept(s);
		break;
	case REIN_WATCH_SCRAPE:
		rein_metrics_event(s, w->scrape);
		break;
	}
}

static void on_tick(struct rein_server *s, uint64_t now_ns)
{
	uint64_t idle_ns = s->options->exit_idle_ns;
	rein_conn_timeouts(s, now_ns);
	rein_trace_tick(s, now_ns);
	rein_metrics_tick(s, now_ns);
	if (s->n_clients)
		rein_loop_watch(s->loop, now_ns);
	if (s->watchdog_ns && now_ns - s->notified_ns >= s->watchdog_ns / 2) {
		rein_notify("WATCHDOG=1");
		s->notified_ns = now_ns;
	}
	if (idle_ns && !s->n_clients && now_ns - s->empty_since_ns >= idle_ns) {
		rein_info("no client for %llu s: ending", (unsigned long long)(idle_ns / REIN_S));
		s->stopping = true;
	}
}

/* How long to sleep when nothing happens; -1: for ever. */
static int tick_ms(const struct rein_server *s)
{
	uint64_t ms = s->admit.dirty ? ADMIT_DIRTY_MS : s->admit.reserved ? ADMIT_TICK_MS : TICK_MS;
	if (s->watchdog_ns && s->watchdog_ns / (2 * REIN_MS) < ms)
		ms = s->watchdog_ns / (2 * REIN_MS);
	if (s->n_clients && REIN_LOOP_WATCH_NS / REIN_MS < ms)
		ms = REIN_LOOP_WATCH_NS / REIN_MS;
	bool needed = s->watchdog_ns || s->n_client_conns || s->options->exit_idle_ns ||
	              s->trace_until_ns || s->metrics.n_scrapes;
	return needed ? (int)(ms ? ms : 1) : -1;
}

void rein_server_run(struct rein_server *s)
{
	struct epoll_event ev[EVENTS];
	uint64_t tick_ns = rein_now_ns();
	while (!s->stopping) {
		int n = epoll_wait(s->epoll_fd, ev, EVENTS, tick_ms(s));
		/* Deaths first: somebody may be held for the dead. */
		for (int pass = 0; pass < 2; pass++)
			for (int i = 0; i < n; i++) {
				const struct rein_watch *w = ev[i].data.ptr;
				if ((w->kind == REIN_WATCH_PROCESS) == (pass == 0))
					on_event(s, w);
			}
		rein_conn_bury(s);
		uint64_t now_ns = rein_now_ns();
		rein_admit_step(s, now_ns);
		if (now_ns - tick_ns >= (uint64_t)TICK_MS * REIN_MS / 4) {
			on_tick(s, now_ns);
			tick_ns = now_ns;
		}
	}
}
