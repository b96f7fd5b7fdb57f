// SPDX-License-Identifier: Apache-2.0
/*
 * puppet.h: a daemon of the test's own, without any policy: a program under the shim on the
 * software GPU says itself when its gate is to be closed or opened (tests/clients/puppet_client.h),
 * and is told whether it was held. So a test says exactly where the gate closes, and nothing is
 * timed.
 *
 * Commands of the program, one byte each, answered by one byte:
 *   c   close the gate; it opens by itself when a thread waits at it, and that is remembered
 *   q   has a thread waited since? y or n
 *   o   open it      m   open and metered      M   metered and closed, opens to metered as c does
 *   i   class `gate = implicit` on      I   off
 *   C   close it for good      w   does a thread wait now? y or n      2   two devices declared?
 *   a   is the client active, as it tells the daemon? y or n
 *   r   from now on close and open it at random      R   no more, open
 */
#ifndef REIN_TESTS_PUPPET_H
#define REIN_TESTS_PUPPET_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/futex.h"
#include "common/sock.h"
#include "common/wire.h"
#include "tests/harness.h"

#ifndef PUPPET_WAIT_MS
#define PUPPET_WAIT_MS 120000
#endif
#define PUPPET_CLIENTS 8 /* processes that joined */
#define PUPPET_UNUSED __attribute__((unused))

struct puppet_client {
	int sock, bell, fd[REIN_FD_N];
	struct rein_board *board;
	struct rein_control *control;
	struct rein_status *status;
};

struct puppet {
	int listener, talk;
	struct proc program;
	struct puppet_client client[PUPPET_CLIENTS];
	unsigned clients;
	char pending; /* a command that waits until somebody has joined */
	bool held, armed, random;
	uint32_t opens_to; /* the gate word after a closure */
	unsigned dice;
};

static inline void *puppet_object(struct puppet_client *c, int i, size_t size)
{
	int fd = rein_memfd_new("puppet", size);
	ck_assert_int_ge(fd, 0);
	struct rein_abi_header *h = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(h, MAP_FAILED);
	*h = (struct rein_abi_header){REIN_ABI_MAGIC, REIN_ABI_MAJOR, REIN_ABI_MINOR,
	                              (uint32_t)size, 0};
	if (i != REIN_FD_STATUS)
		ck_assert_int_eq(rein_memfd_freeze(fd), 0);
	c->fd[i] = fd;
	return h;
}

static inline void puppet_set(struct puppet *p, uint32_t gate)
{
	for (unsigned i = 0; i < p->clients; i++) {
		struct rein_verdict *v = &p->client[i].control->verdict[0];
		rein_store_release(&v->lease_until_ns, rein_now_ns() + 600 * REIN_S);
		rein_swap_seqcst(&v->gate, gate);
		rein_futex_wake_all(&v->gate);
	}
}

static inline void puppet_accept(struct puppet *p)
{
	struct rein_msg_welcome w = {.header = {REIN_ABI_MAGIC, REIN_MSG_WELCOME, 0, sizeof(w),
	                                        REIN_ABI_MAJOR, REIN_ABI_MINOR}};
	struct rein_msg_hello hello;
	struct puppet_client *c = &p->client[p->clients];
	unsigned none = 0;
	int bell[2];
	ck_assert_uint_lt(p->clients, PUPPET_CLIENTS);
	c->sock = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(c->sock, 0);
	if (rein_sock_recv(c->sock, &hello, sizeof(hello), NULL, &none, 5000) !=
	    (ssize_t)sizeof(hello)) {
		close(c->sock); /* it has ended already */
		return;
	}
	c->board = puppet_object(c, REIN_FD_BOARD, sizeof(struct rein_board));
	c->control = puppet_object(c, REIN_FD_CONTROL, sizeof(struct rein_control));
	c->status = puppet_object(c, REIN_FD_STATUS, sizeof(struct rein_status));
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bell), 0);
	c->bell = bell[0];
	c->fd[REIN_FD_DOORBELL] = bell[1];
	c->control->linger_us = 200;
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++) {
		c->control->verdict[i].board_device = i;
		c->control->verdict[i].backlog_ns = 4 * REIN_MS;
		c->control->verdict[i].backlog_launches = 8;
	}
	w.client_id = p->clients + 1;
	ck_assert_int_eq(rein_sock_send(c->sock, &w, sizeof(w), c->fd, REIN_FD_N), 0);
	for (unsigned i = 0; i < REIN_FD_N; i++)
		close(c->fd[i]);
	p->clients++;
}

/* The shim publishes its demand when it has mapped what it was given. */
static inline bool puppet_joined(const struct puppet *p)
{
	return p->clients && rein_load_seqcst(&p->client[0].status->demand);
}

static inline bool puppet_waits(const struct puppet *p)
{
	for (unsigned i = 0; i < p->clients; i++)
		if (rein_load_seqcst(&p->client[i].status->demand) & REIN_DEMAND_WAITING)
			return true;
	return false;
}

static inline void puppet_do(struct puppet *p, char what)
{
	char answer = 'k';
	if (!puppet_joined(p)) {
		p->pending = what;
		return;
	}
	p->pending = 0;
	switch (what) {
	case 'c':
	case 'M':
		p->held = false;
		p->armed = true;
		p->opens_to = what == 'M' ? REIN_GATE_METERED : REIN_GATE_OPEN;
		puppet_set(p, REIN_GATE_CLOSED | p->opens_to);
		break;
	case 'q':
		answer = p->held ? 'y' : 'n';
		break;
	case 'C':
		p->armed = false;
		puppet_set(p, REIN_GATE_CLOSED);
		break;
	case 'w':
		answer = puppet_waits(p) ? 'y' : 'n';
		break;
	case '2':
		answer = rein_load_acquire(&p->client[0].status->device[1].used) ? 'y' : 'n';
		break;
	case 'a':
		answer =
		    rein_load_seqcst(&p->client[0].status->demand) & REIN_DEMAND_ACTIVE ? 'y' : 'n';
		break;
	case 'o':
	case 'm':
		p->armed = p->held = false;
		puppet_set(p, what == 'm' ? REIN_GATE_METERED : REIN_GATE_OPEN);
		break;
	case 'i':
	case 'I':
		rein_store_release(&p->client[0].control->flags,
		                   what == 'i' ? REIN_CONTROL_GATE_IMPLICIT : 0);
		break;
	case 'r':
		p->random = true;
		break;
	case 'R':
		p->random = false;
		puppet_set(p, REIN_GATE_OPEN);
		break;
	default:
		ck_abort_msg("the program asks for '%c'", what);
	}
	ck_assert_int_eq(write(p->talk, &answer, 1), 1);
}

/* About half of the time closed; each closure lasts a millisecond or so. */
static inline void puppet_dice(struct puppet *p)
{
	static const uint32_t gates[] = {REIN_GATE_OPEN, REIN_GATE_CLOSED, REIN_GATE_METERED,
	                                 REIN_GATE_CLOSED | REIN_GATE_METERED};
	p->dice = p->dice * 1103515245u + 12345u;
	puppet_set(p, gates[p->dice >> 16 & 3]);
}

static inline bool puppet_ended(const struct puppet *p)
{
	siginfo_t info = {0};
	return waitid(P_PID, (id_t)p->program.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == p->program.pid;
}

/* Starts the program: its name below the build folder, its arguments separated by blanks. */
static inline void puppet_start(struct puppet *p, const char *program, const char *args,
                                char *const extra_env[])
{
	static char env_text[6][600];
	char *env[ENV_MAX] = {0}, *argv[16] = {(char *)built(program)}, line[256];
	int ends[2], n = 0;
	const char *dir = temp_dir();
	*p = (struct puppet){.dice = 7};
	p->listener = rein_sock_listen(dir, REIN_CLIENT_SOCKET, 0600, 4);
	ck_assert_int_ge(p->listener, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	p->talk = ends[0];
	snprintf(env_text[n++], sizeof(env_text[0]), "REIN_RUN_DIR=%s", dir);
	snprintf(env_text[n++], sizeof(env_text[0]), "SOFTGPU_SHM=puppet-%s",
	         strrchr(dir, '/') + 1);
	snprintf(env_text[n++], sizeof(env_text[0]), "LD_LIBRARY_PATH=%s", built("softgpu"));
	snprintf(env_text[n++], sizeof(env_text[0]), "LD_PRELOAD=%s", built("librein.so"));
	snprintf(env_text[n++], sizeof(env_text[0]), "SOFTGPU_MODE=fast");
	snprintf(env_text[n++], sizeof(env_text[0]), "PUPPET_FD=%d", ends[1]);
	for (int i = 0; i < n; i++)
		env[i] = env_text[i];
	env[n++] = ENV_NO_LEAK_CHECK;
	env[n++] = ENV_ENDS_ANYHOW;
	for (int i = 0; extra_env && extra_env[i]; i++)
		env[n++] = extra_env[i];
	snprintf(line, sizeof(line), "%s", args);
	n = 1;
	for (char *w = strtok(line, " "); w && n < 15; w = strtok(NULL, " "))
		argv[n++] = w;
	p->program = proc_start(argv, env);
	close(ends[1]);
}

/* Obeys the program until it ends; its exit status. */
static inline int puppet_run(struct puppet *p, char *out, size_t len)
{
	uint64_t end = rein_now_ns() + PUPPET_WAIT_MS * REIN_MS;
	bool talks = true;
	while (!puppet_ended(p) && rein_now_ns() < end) {
		struct pollfd fd[] = {
		    {.fd = p->listener, .events = POLLIN},
		    {.fd = talks && !p->pending ? p->talk : -1, .events = POLLIN}};
		bool quick = p->armed || p->random || p->pending;
		poll(fd, 2, quick ? 0 : 20);
		if (fd[0].revents)
			puppet_accept(p);
		char what;
		if (p->pending)
			puppet_do(p, p->pending);
		else if (fd[1].revents && read(p->talk, &what, 1) == 1)
			puppet_do(p, what);
		else if (fd[1].revents)
			talks = false;
		if (p->armed && puppet_waits(p)) {
			p->armed = false;
			p->held = true;
			puppet_set(p, p->opens_to);
		}
		if (p->random)
			puppet_dice(p);
		if (quick)
			usleep(p->random ? 700 : 50);
	}
	int status = proc_wait(&p->program, out, len, 1000);
	close(p->listener);
	close(p->talk);
	return status;
}

PUPPET_UNUSED static void puppet_expect_ok(const char *program, const char *args,
                                           char *const extra_env[])
{
	static char out[16384];
	struct puppet p;
	puppet_start(&p, program, args, extra_env);
	int status = puppet_run(&p, out, sizeof(out));
	ck_assert_msg(status == 0, "%s %s: exit %d: %.4000s", program, args, status, out);
	ck_assert_msg(p.clients > 0, "%s %s never joined", program, args);
}

#endif
