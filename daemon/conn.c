// SPDX-License-Identifier: Apache-2.0
/* conn.c: one connection: accepting it, the greeting, requests, its end. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "../common/sock.h"
#include "control.h"
#include "hash.h"
#include "server.h"

#define ACCEPTS_PER_EVENT 16

static int watch(struct rein_server *s, int fd, uint32_t events, struct rein_watch *w)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};
	return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* ---------------------------------------------------------------- answers */

static void welcome_init(struct rein_msg_welcome *w)
{
	memset(w, 0, sizeof(*w));
	w->header = (struct rein_msg_header){.magic = REIN_ABI_MAGIC,
	                                     .type = REIN_MSG_WELCOME,
	                                     .size = sizeof(*w),
	                                     .abi_major = REIN_ABI_MAJOR,
	                                     .abi_minor = REIN_ABI_MINOR};
}

/* Best effort: whoever does not take the refusal sees the hang-up. */
static void refuse(int fd, int err, const char *text)
{
	struct rein_msg_welcome w;
	welcome_init(&w);
	w.error = -err;
	snprintf(w.text, sizeof(w.text), "%s", text);
	w.header.size = REIN_WELCOME_SIZE_1; /* every peer takes that */
	if (rein_sock_send(fd, &w, w.header.size, NULL, 0))
		rein_debug("a refusal could not be sent");
}

/* ---------------------------------------------------------------- the end of a connection */

void rein_conn_close(struct rein_server *s, struct rein_conn *c, const char *why)
{
	if (c->dead)
		return;
	c->dead = true;
	if (c->client) {
		rein_loop_leave(s->loop, &c->client->member);
		rein_collector_leave(s->collector, c->client->source);
		if (rein_server_may_log(s))
			rein_info("left: id=%u pid=%d name=%s: %s",
			          c->client->member.arbiter.policy.id, (int)c->who.pid,
			          c->client->member.arbiter.name, why);
		rein_metrics_leave(s, c->client);
		rein_client_free(c->client);
		c->client = NULL;
		s->admit.dirty = true;
		s->n_clients--;
		if (!s->n_clients)
			s->empty_since_ns = rein_now_ns();
	}
	close(c->fd); /* closing takes it out of the epoll set */
	if (c->pidfd >= 0)
		close(c->pidfd);
	if (c->control)
		s->n_control_conns--;
	else
		s->n_client_conns--;
	DL_DELETE(s->conns, c);
	DL_APPEND(s->graveyard, c); /* events of this batch may still name it */
}

void rein_conn_bury(struct rein_server *s)
{
	struct rein_conn *c, *next;
	DL_FOREACH_SAFE(s->graveyard, c, next)
	{
		DL_DELETE(s->graveyard, c);
		free(c);
	}
}

void rein_conn_timeouts(struct rein_server *s, uint64_t now_ns)
{
	struct rein_conn *c, *next;
	DL_FOREACH_SAFE(s->conns, c, next)
	{
		if (!c->control && !c->client && now_ns - c->since_ns > REIN_HELLO_TIMEOUT_NS)
			rein_conn_close(s, c, "no greeting");
	}
}

/* ---------------------------------------------------------------- accepting */

static unsigned of_user(const struct rein_server *s, uid_t uid, bool control)
{
	unsigned n = 0;
	for (const struct rein_conn *c = s->conns; c; c = c->next)
		n += c->control == control && c->who.uid == uid;
	return n;
}

static bool has_room(const struct rein_server *s, const struct rein_conn *c)
{
	unsigned all = c->control ? s->n_control_conns : s->n_client_conns;
	unsigned max = c->control ? REIN_CONTROLS_MAX : REIN_CLIENTS_MAX;
	unsigned user_max = c->control ? REIN_CONTROLS_MAX / 2 : REIN_USER_CLIENTS_MAX;
	return all < max && (c->who.uid == 0 || of_user(s, c->who.uid, c->control) < user_max);
}

static void adopt(struct rein_server *s, int fd, bool control)
{
	struct rein_conn *c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	c->control = control;
	c->fd = fd;
	c->on_socket = (struct rein_watch){REIN_WATCH_SOCKET, {c}};
	c->on_process = (struct rein_watch){REIN_WATCH_PROCESS, {c}};
	c->since_ns = rein_now_ns();
	int err = rein_identity_get(&c->who, fd, &c->pidfd);
	if (!err && !has_room(s, c)) {
		err = -EAGAIN;
		if (!control)
			refuse(fd, err,
			       "the daemon serves too many programs already; this one runs "
			       "unscheduled");
	}
	if (!err)
		err = watch(s, fd, EPOLLIN | EPOLLRDHUP, &c->on_socket);
	if (!err && c->pidfd >= 0 && !control)
		err = watch(s, c->pidfd, EPOLLIN, &c->on_process);
	if (err) {
		if (rein_server_may_log(s))
			rein_warn("refused a connection: pid=%d uid=%u: %s", (int)c->who.pid,
			          (unsigned)c->who.uid, strerror(-err));
		close(fd);
		if (c->pidfd >= 0)
			close(c->pidfd);
		free(c);
		return;
	}
	if (control)
		s->n_control_conns++;
	else
		s->n_client_conns++;
	DL_APPEND(s->conns, c);
}

int rein_conn_take(struct rein_server *s, int listening)
{
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || s->spare_fd < 0)
		return fd;
	/* No descriptor left: give up the spare one to turn the caller away, else it would stay in
	 * the queue and this event would come for ever. */
	close(s->spare_fd);
	fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		close(fd);
	s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (rein_server_may_log(s))
		rein_warn("out of file descriptors: a connection was turned away");
	return -1; /* who else waits is another event */
}

void rein_conn_accept(struct rein_server *s, bool control)
{
	int fd = 0;
	for (unsigned i = 0; i < ACCEPTS_PER_EVENT && fd >= 0; i++) {
		fd = rein_conn_take(s, control ? s->control_fd : s->client_fd);
		if (fd >= 0)
			adopt(s, fd, control);
	}
}

/* ---------------------------------------------------------------- the greeting */

static void say_promise(struct rein_msg_welcome *w, const struct rein_reservation *r)
{
	w->promise = r->promise;
	w->timing = r->timing;
	w->response_ns = r->response_ns;
	if (r->promise == REIN_PROMISE_LATER) {
		w->timing = r->wanted;
		w->timing.deadline_ns = r->later_ns;
	}
	snprintf(w->promise_text, sizeof(w->promise_text), "%s", r->why);
}

static int send_welcome(struct rein_server *s, struct rein_conn *c, const struct rein_msg_hello *h,
                        const struct rein_grant *g, const struct rein_reservation *r)
{
	struct rein_client *client = c->client;
	struct rein_msg_welcome w;
	welcome_init(&w);
	w.prio = g->prio;
	snprintf(w.class_name, sizeof(w.class_name), "%s", g->class->name);
	snprintf(w.text, sizeof(w.text), "%s", g->text);
	say_promise(&w, r);
	if (h->header.size < sizeof(*h)) /* a peer of minor 1 takes its size only */
		w.header.size = REIN_WELCOME_SIZE_1;
	if (!client) /* REIN_HELLO_CHECK */
		return rein_sock_send(c->fd, &w, w.header.size, NULL, 0);
	w.client_id = client->member.arbiter.policy.id;
	const int fds[REIN_FD_MAX] = {
	    [REIN_FD_BOARD] = s->board_fd,        [REIN_FD_CONTROL] = client->control_fd,
	    [REIN_FD_STATUS] = client->status_fd, [REIN_FD_DOORBELL] = client->ring_fd,
	    [REIN_FD_RINGS] = client->rings_fd,   [REIN_FD_POINTS] = client->points_fd};
	unsigned n = client->rings_fd < 0 ? REIN_FD_N : REIN_FD_POINTS;
	int err = rein_sock_send(c->fd, &w, w.header.size, fds, n + (client->points_fd >= 0));
	/* The mappings stay; the descriptors are the client's now. */
	close(client->control_fd);
	close(client->status_fd);
	close(client->ring_fd);
	if (client->rings_fd >= 0)
		close(client->rings_fd);
	if (client->points_fd >= 0)
		close(client->points_fd);
	client->control_fd = client->status_fd = client->ring_fd = -1;
	client->rings_fd = client->points_fd = -1;
	return err;
}

/* Clients of one user that name one job have one id for it: the first one's. */
static uint32_t job_of(const struct rein_server *s, const struct rein_client *client)
{
	const struct rein_conn *k = s->conns;
	for (; client->job[0] && k; k = k->next)
		if (k->client && k->who.uid == client->who.uid &&
		    strcmp(k->client->job, client->job) == 0)
			return k->client->job_id;
	return client->member.arbiter.policy.id;
}

static int join(struct rein_server *s, struct rein_conn *c, const struct rein_msg_hello *h,
                struct rein_grant *g, const struct rein_reservation *r)
{
	int err = 0;
	uint32_t id = ++s->next_id ? s->next_id : ++s->next_id;
	struct rein_client *client = rein_client_new(h, &c->who, id, &err);
	if (!client) {
		snprintf(g->text, sizeof(g->text), "cannot make the shared memory: %s",
		         strerror(-err));
		return err;
	}
	client->job_id = job_of(s, client);
	client->reservation = *r;
	rein_client_apply(client, g);
	client->member.pid_fd = c->pidfd;
	rein_metrics_join(s, client);
	err = rein_loop_join(s->loop, &client->member, g->text, sizeof(g->text));
	if (err) {
		rein_metrics_leave(s, client);
		rein_client_free(client);
		return err;
	}
	rein_trace_join(s, client);
	c->client = client;
	s->n_clients++;
	s->admit.dirty = true;
	return 0;
}

/* Its name in messages, before it has joined. */
static const char *name_of(const struct rein_identity *who, const struct rein_msg_hello *h,
                           char name[REIN_NAME_LEN])
{
	const char *slash = strrchr(who->exe, '/');
	rein_printable(name, REIN_NAME_LEN, h->name[0] ? h->name : slash ? slash + 1 : who->comm);
	return name;
}

/* Who asks, or for an answer only: as whom it is going to ask. */
static struct rein_identity as_whom(const struct rein_conn *c, const struct rein_msg_hello *h)
{
	struct rein_identity who = c->who;
	if ((h->flags & REIN_HELLO_CHECK) && h->exe[0])
		rein_printable(who.exe, sizeof(who.exe), h->exe);
	return who;
}

static void log_joined(struct rein_server *s, const struct rein_conn *c, const struct rein_grant *g)
{
	const struct rein_client *k = c->client;
	if (!k || !rein_server_may_log(s))
		return;
	rein_info("joined: id=%u pid=%d uid=%u name=%s class=%s prio=%d",
	          k->member.arbiter.policy.id, (int)c->who.pid, (unsigned)c->who.uid,
	          k->member.arbiter.name, g->class->name, g->prio);
	if (k->reservation.promise != REIN_PROMISE_UNASKED)
		rein_info("reservation of id=%u: %s", k->member.arbiter.policy.id,
		          k->reservation.why);
}

static void hello(struct rein_server *s, struct rein_conn *c, struct rein_msg_hello *h, size_t len)
{
	struct rein_grant g = {0};
	struct rein_reservation r = {0};
	char name[REIN_NAME_LEN];
	int err = rein_hello_check(h, len, g.text, sizeof(g.text));
	if (err == -EBADMSG) {
		rein_conn_close(s, c, "not a greeting");
		return;
	}
	if (!err) {
		struct rein_identity who = as_whom(c, h);
		struct rein_wish wish = rein_wish_of(h);
		rein_grant(&g, s->config, &who, &wish);
		err = g.err;
		if (!err)
			rein_admit_ask(s, NULL, who.pid, name_of(&who, h, name), &g, &r);
	}
	if (!err && rein_timing_any(&h->timing) && !rein_timing_any(&g.timing)) {
		r.promise = REIN_PROMISE_REFUSED;
		snprintf(r.why, sizeof(r.why), "%s", g.text);
	}
	if (!err && !(h->flags & REIN_HELLO_CHECK))
		err = join(s, c, h, &g, &r);
	if (err) {
		refuse(c->fd, err, g.text);
		if (rein_server_may_log(s))
			rein_warn("refused: pid=%d uid=%u: %s", (int)c->who.pid,
			          (unsigned)c->who.uid, g.text);
		rein_conn_close(s, c, "refused");
		return;
	}
	err = send_welcome(s, c, h, &g, &r);
	if (err)
		rein_conn_close(s, c, "it does not take the welcome");
	else
		log_joined(s, c, &g);
}

/* ---------------------------------------------------------------- what arrives */

static void request(struct rein_server *s, struct rein_conn *c, const char *text, size_t len)
{
	char *answer = rein_control_answer(s, &c->who, text, len);
	if (!answer) {
		rein_conn_close(s, c, "out of memory");
		return;
	}
	int err = rein_sock_send(c->fd, answer, strlen(answer), NULL, 0);
	free(answer);
	if (err)
		rein_conn_close(s, c, "it does not take the answer");
}

void rein_conn_event(struct rein_server *s, struct rein_conn *c)
{
	static char text[REIN_CONTROL_MAX]; /* the session thread is one */
	union {
		struct rein_msg_hello h;
		char room[REIN_HELLO_MAX];
	} greeting = {0};
	if (c->dead)
		return;
	void *to = c->control ? (void *)text : (void *)&greeting;
	size_t room = c->control ? sizeof(text) : sizeof(greeting);
	ssize_t n = rein_sock_recv(c->fd, to, room, NULL, NULL, 0);
	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0)
		rein_conn_close(s, c, n ? strerror((int)-n) : "hung up");
	else if (c->control)
		request(s, c, text, (size_t)n);
	else if (c->client)
		rein_conn_close(s, c, "it spoke after the greeting");
	else
		hello(s, c, &greeting.h, (size_t)n);
}
