// SPDX-License-Identifier: Apache-2.0
/* metrics_serve.c: the socket that scrapers come to, and what is said there: one request, one
 * answer, then it is closed. The places of connections are fixed: an event of one that has just
 * been closed may meet its successor, which it tells nothing new. */
#include "metrics.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "server.h"

#define HEAD_MAX 512
#define BACKLOG 16

enum scrape_state { SCRAPE_FREE, SCRAPE_READS, SCRAPE_WRITES, SCRAPE_ENDS };

struct rein_scrape {
	struct rein_watch watch;
	enum scrape_state state;
	int fd;
	uint64_t since_ns;
	size_t n; /* of the request */
	char request[REIN_METRICS_REQUEST_MAX];
	char *answer;
	size_t len, sent;
};

/* ---------------------------------------------------------------- one scraper */

static void scrape_close(struct rein_server *s, struct rein_scrape *c)
{
	if (c->state == SCRAPE_FREE)
		return;
	close(c->fd); /* closing takes it out of the epoll set */
	free(c->answer);
	c->answer = NULL;
	c->state = SCRAPE_FREE;
	s->metrics.n_scrapes--;
}

static bool scrape_watch(struct rein_server *s, struct rein_scrape *c, int op, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = &c->watch};
	return epoll_ctl(s->epoll_fd, op, c->fd, &ev) == 0;
}

/* All is sent, or as much as it takes now. Then it is for the other side to end: closing first
 * could reset the connection before the answer was read. */
static void scrape_write(struct rein_server *s, struct rein_scrape *c)
{
	while (c->sent < c->len) {
		ssize_t n =
		    send(c->fd, c->answer + c->sent, c->len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			c->sent += (size_t)n;
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR) ||
		    !scrape_watch(s, c, EPOLL_CTL_MOD, EPOLLOUT))
			scrape_close(s, c);
		return;
	}
	c->state = SCRAPE_ENDS;
	if (shutdown(c->fd, SHUT_WR) < 0 || !scrape_watch(s, c, EPOLL_CTL_MOD, EPOLLIN))
		scrape_close(s, c);
}

static void scrape_answer(struct rein_server *s, struct rein_scrape *c,
                          struct rein_metrics_request *r)
{
	const struct rein_metrics_text *text = NULL;
	if (r->status == 200) {
		text = rein_metrics_make(s, r->open_metrics);
		r->status = text ? 200 : 500;
	}
	const char *body = text ? text->text : rein_metrics_sorry(r->status);
	size_t len = text ? text->len : strlen(body);
	c->answer = malloc(HEAD_MAX + len);
	if (!c->answer) {
		scrape_close(s, c);
		return;
	}
	c->len = rein_metrics_head(r, len, c->answer, HEAD_MAX);
	if (!r->head) {
		memcpy(c->answer + c->len, body, len);
		c->len += len;
	}
	c->state = SCRAPE_WRITES;
	scrape_write(s, c);
}

static void scrape_read(struct rein_server *s, struct rein_scrape *c)
{
	struct rein_metrics_request r;
	ssize_t n = recv(c->fd, c->request + c->n, sizeof(c->request) - c->n, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		scrape_close(s, c);
		return;
	}
	c->n += (size_t)n;
	if (rein_metrics_request(c->request, c->n, &r))
		scrape_answer(s, c, &r);
}

/* What it says after the answer is not for us; its end is. */
static void scrape_end(struct rein_server *s, struct rein_scrape *c)
{
	ssize_t n = recv(c->fd, c->request, sizeof(c->request), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		scrape_close(s, c);
}

void rein_metrics_event(struct rein_server *s, struct rein_scrape *c)
{
	switch (c->state) {
	case SCRAPE_FREE:
		break;
	case SCRAPE_READS:
		scrape_read(s, c);
		break;
	case SCRAPE_WRITES:
		scrape_write(s, c);
		break;
	case SCRAPE_ENDS:
		scrape_end(s, c);
		break;
	}
}

/* A free place, or that of whoever is there longest. */
static struct rein_scrape *place_for(struct rein_server *s)
{
	struct rein_scrape *place = s->metrics.scrape;
	for (struct rein_scrape *c = place; c < s->metrics.scrape + REIN_METRICS_SCRAPES; c++) {
		if (c->state == SCRAPE_FREE)
			return c;
		if (c->since_ns < place->since_ns)
			place = c;
	}
	scrape_close(s, place);
	return place;
}

void rein_metrics_accept(struct rein_server *s)
{
	int fd = 0;
	for (unsigned i = 0; i < BACKLOG && (fd = rein_conn_take(s, s->metrics.fd)) >= 0; i++) {
		struct rein_scrape *c = place_for(s);
		c->watch.kind = REIN_WATCH_SCRAPE;
		c->watch.scrape = c;
		c->fd = fd;
		c->n = c->len = c->sent = 0;
		c->since_ns = rein_now_ns();
		c->state = SCRAPE_READS;
		s->metrics.n_scrapes++;
		if (!scrape_watch(s, c, EPOLL_CTL_ADD, EPOLLIN))
			scrape_close(s, c);
	}
}

void rein_metrics_tick(struct rein_server *s, uint64_t now_ns)
{
	for (unsigned i = 0; s->metrics.n_scrapes && i < REIN_METRICS_SCRAPES; i++) {
		struct rein_scrape *c = &s->metrics.scrape[i];
		if (now_ns - c->since_ns > REIN_METRICS_TIMEOUT_NS)
			scrape_close(s, c);
	}
}

/* ---------------------------------------------------------------- listening */

/* What a daemon that was killed left behind; never a file that is something else. */
static int clear_path(const struct sockaddr_un *un)
{
	struct stat st;
	if (lstat(un->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	REIN_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)un, sizeof(*un)) == 0 || errno != ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(un->sun_path) < 0 ? -errno : 0;
}

/* As the control socket: for us and the group. */
static int open_path(const struct sockaddr_un *un)
{
	gid_t group = rein_identity_group();
	if (group != (gid_t)-1 && lchown(un->sun_path, (uid_t)-1, group) < 0)
		rein_debug("%s stays with its group: %s", un->sun_path, strerror(errno));
	return chmod(un->sun_path, 0660) < 0 ? -errno : 0;
}

static int listen_at(const struct rein_metrics_at *at)
{
	int family = at->addr.ss_family, one = 1, err = 0;
	const struct sockaddr_un *un = (const struct sockaddr_un *)&at->addr;
	REIN_AUTO_CLOSE int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (family == AF_UNIX)
		err = clear_path(un);
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!err && bind(fd, (const struct sockaddr *)&at->addr, at->len) < 0)
		err = -errno;
	if (!err && family == AF_UNIX)
		err = open_path(un);
	if (!err && listen(fd, BACKLOG) < 0)
		err = -errno;
	return err ? err : rein_take_fd(&fd);
}

void rein_metrics_stop(struct rein_server *s)
{
	struct rein_metrics *m = &s->metrics;
	for (unsigned i = 0; m->scrape && i < REIN_METRICS_SCRAPES; i++)
		scrape_close(s, &m->scrape[i]);
	if (m->fd < 0)
		return;
	if (m->at.addr.ss_family == AF_UNIX)
		unlink(((const struct sockaddr_un *)&m->at.addr)->sun_path);
	close(m->fd);
	m->fd = -1;
}

void rein_metrics_apply(struct rein_server *s)
{
	struct rein_metrics *m = &s->metrics;
	const struct rein_metrics_at *at = &s->config->metrics;
	if (m->fd >= 0 && m->at.len == at->len && memcmp(&m->at.addr, &at->addr, at->len) == 0)
		return;
	rein_metrics_stop(s);
	if (at->addr.ss_family == AF_UNSPEC)
		return;
	m->at = *at;
	m->fd = listen_at(at);
	if (!m->scrape) /* it stays: events that wait to be looked at name its places */
		m->scrape = calloc(REIN_METRICS_SCRAPES, sizeof(*m->scrape));
	s->on_metrics.kind = REIN_WATCH_METRICS;
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &s->on_metrics};
	int err = m->fd < 0 ? m->fd : 0;
	if (!err && (!m->scrape || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, m->fd, &ev) < 0))
		err = m->scrape ? -errno : -ENOMEM;
	if (!err) {
		rein_info("metrics: %s", s->config->metrics_text);
		return;
	}
	rein_metrics_stop(s);
	rein_warn("no metrics: cannot listen at %s: %s; choose another place with `metrics` in "
	          "[daemon], then `rein reload`",
	          s->config->metrics_text,
	          err == -EEXIST ? "there is a file that is no socket" : strerror(-err));
}
