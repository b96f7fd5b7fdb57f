// SPDX-License-Identifier: Apache-2.0
/*
 * raw_client.h: a daemon of one's own, and clients that speak its protocol by hand, so that the
 * daemon is tested alone: no shim, no GPU. Whatever fails fails the test.
 */
#ifndef REIN_TESTS_RAW_CLIENT_H
#define REIN_TESTS_RAW_CLIENT_H

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/sock.h"
#include "common/wire.h"
#include "tests/harness.h"

#define WAIT_MS 20000

struct daemon {
	char dir[128];
	struct proc p;
};

static inline bool raw_answers(void *dir)
{
	int fd = rein_sock_connect(dir, REIN_CLIENT_SOCKET);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* The daemon itself, and not the worker of a killed one, which ends a moment later. */
static inline bool raw_serves(void *daemon)
{
	const struct daemon *d = daemon;
	char path[160];
	int pid = 0;
	snprintf(path, sizeof(path), "%s/%s", d->dir, REIN_PIDFILE);
	FILE *f = fopen(path, "re");
	bool ours = f && fscanf(f, "%d", &pid) == 1 && pid == (int)d->p.pid;
	if (f)
		fclose(f);
	return ours && raw_answers((void *)(uintptr_t)d->dir);
}

/* In a fresh directory of its own, or again in d->dir. `extra`: more options, NULL-terminated. */
static inline void daemon_start_again(struct daemon *d, char *const extra[])
{
	char *argv[16] = {(char *)built("reind"), "--run-dir", d->dir};
	for (unsigned i = 0; extra && extra[i]; i++)
		argv[3 + i] = extra[i];
	d->p = proc_start(argv, NULL);
	ck_assert(eventually(raw_serves, d, WAIT_MS));
}

static inline void daemon_start(struct daemon *d, char *const extra[])
{
	snprintf(d->dir, sizeof(d->dir), "%s", temp_dir());
	daemon_start_again(d, extra);
}

/* Ends it with a signal; its output goes to buf. Returns its exit status. */
static inline int daemon_end(struct daemon *d, int signal, char *buf, size_t len)
{
	proc_kill(&d->p, signal);
	return proc_wait(&d->p, buf, len, WAIT_MS);
}

/* ---------------------------------------------------------------- the client socket */

struct raw {
	int sock;
	struct rein_msg_welcome w;
	int fd[REIN_FD_N];
	unsigned n_fds;
	const struct rein_board *board;
	const struct rein_control *control;
	struct rein_status *status;
};

static inline struct rein_msg_hello raw_hello(const char *name, int prio)
{
	struct rein_msg_hello h = {.header = {.magic = REIN_ABI_MAGIC,
	                                      .type = REIN_MSG_HELLO,
	                                      .size = sizeof(h),
	                                      .abi_major = REIN_ABI_MAJOR,
	                                      .abi_minor = REIN_ABI_MINOR},
	                           .prio = prio};
	snprintf(h.name, sizeof(h.name), "%s", name);
	return h;
}

static inline int raw_connect(const char *dir)
{
	int fd = -1;
	for (unsigned i = 0; i < 1000 && fd < 0; i++) { /* -EAGAIN: the queue is full right now */
		fd = rein_sock_connect(dir, REIN_CLIENT_SOCKET);
		if (fd < 0)
			usleep(1000);
	}
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Says the greeting and takes the answer, whatever it is. Bytes received, 0 or -errno. */
static inline ssize_t raw_greet(struct raw *r, const char *dir, const void *hello, size_t len)
{
	memset(r, 0, sizeof(*r));
	r->sock = raw_connect(dir);
	r->n_fds = REIN_FD_N;
	ck_assert_int_eq(rein_sock_send(r->sock, hello, len, NULL, 0), 0);
	return rein_sock_recv(r->sock, &r->w, sizeof(r->w), r->fd, &r->n_fds, WAIT_MS);
}

static inline const void *raw_map(int fd, int prot)
{
	const void *p = mmap(NULL, REIN_AREA_ALIGN, prot, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

/* A client with one device, as the shim would join. */
static inline void raw_join(struct raw *r, const char *dir, const char *name, int prio)
{
	struct rein_msg_hello h = raw_hello(name, prio);
	ck_assert_int_eq(raw_greet(r, dir, &h, sizeof(h)), sizeof(r->w));
	ck_assert_msg(r->w.error == 0, "%s", r->w.text);
	ck_assert_uint_eq(r->n_fds, REIN_FD_N);
	r->board = raw_map(r->fd[REIN_FD_BOARD], PROT_READ);
	r->control = raw_map(r->fd[REIN_FD_CONTROL], PROT_READ);
	r->status = (struct rein_status *)raw_map(r->fd[REIN_FD_STATUS], PROT_READ | PROT_WRITE);
	ck_assert_uint_eq(r->board->header.magic, REIN_ABI_MAGIC);
	ck_assert_uint_eq(r->control->header.magic, REIN_ABI_MAGIC);
	ck_assert_uint_eq(r->status->header.magic, REIN_ABI_MAGIC);
	ck_assert_uint_eq(r->board->header.size, sizeof(struct rein_board));
	ck_assert_uint_eq(r->control->header.size, sizeof(struct rein_control));
	ck_assert_uint_eq(r->status->header.size, sizeof(struct rein_status));
	ck_assert_uint_eq(r->control->client_id, r->w.client_id);
	ck_assert_uint_ne(r->w.client_id, 0);
	memset(r->status->device[0].uuid, 0xab, 16);
	rein_store_release(&r->status->device[0].used, 1);
	ck_assert_int_eq(eventfd_write(r->fd[REIN_FD_DOORBELL], 1), 0);
}

static inline void raw_demand(struct raw *r, uint32_t bits)
{
	uint32_t word = rein_load_relaxed(&r->status->demand);
	rein_swap_seqcst(&r->status->demand,
	                 ((word & ~(REIN_DEMAND_COUNT - 1)) + REIN_DEMAND_COUNT) | bits);
	if (rein_load_seqcst(&r->board->asleep))
		eventfd_write(r->fd[REIN_FD_DOORBELL], 1);
}

static inline bool raw_closed(void *r)
{
	return rein_load_acquire(&((struct raw *)r)->control->verdict[0].gate) & REIN_GATE_CLOSED;
}

static inline bool raw_open(void *r)
{
	return !raw_closed(r);
}

static inline bool raw_fully_open(void *r)
{
	return rein_load_acquire(&((struct raw *)r)->control->verdict[0].gate) == REIN_GATE_OPEN;
}

/* ---------------------------------------------------------------- the control socket */

/* One request, one answer; the caller decrefs. */
static inline json_t *raw_ask(const char *dir, const char *request)
{
	static char buf[REIN_CONTROL_MAX];
	int fd = rein_sock_connect(dir, REIN_CONTROL_SOCKET);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(rein_sock_send(fd, request, strlen(request), NULL, 0), 0);
	ssize_t n = rein_sock_recv(fd, buf, sizeof(buf), NULL, NULL, WAIT_MS);
	ck_assert_msg(n > 0, "no answer to %s: %zd", request, n);
	close(fd);
	json_t *answer = json_loadb(buf, (size_t)n, 0, NULL);
	ck_assert_ptr_nonnull(answer);
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "schema_version")), 1);
	return answer;
}

static inline long long raw_count_clients(const char *dir)
{
	json_t *answer = raw_ask(dir, "{\"op\":\"status\"}");
	long long n = json_integer_value(json_object_get(answer, "clients"));
	json_decref(answer);
	return n;
}

static inline bool raw_no_clients(void *dir)
{
	return raw_count_clients(dir) == 0;
}

#endif
