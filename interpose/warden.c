// SPDX-License-Identifier: Apache-2.0
/*
 * warden.c: the warden thread, which joins the daemon, waits until it hangs up and tries again for
 * ever; and the start of both our threads, the end of the process, and fork. The warden never
 * calls CUDA, takes a lock or allocates.
 */
#include "attach.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../common/env.h"
#include "../common/futex.h"
#include "../common/log.h"
#include "../common/sock.h"
#include "../common/wire.h"
#include "demand.h"
#include "helper.h"
#include "ours.h"

#define FIRST_WAIT_NS (50 * REIN_MS) /* cuInit waits this long for the first attempt */
#define WELCOME_MS 1000
#define RETRY_MS 500
#define REFUSED_RETRY_MS 2000
#define WARDEN_STACK (1024 * 1024) /* glibc takes the libraries' thread-local data from it */

static rein_a32 started, first_over;
static struct rein_ours sock = {.fd = -1};
static struct rein_msg_hello hello;
static char run_dir[sizeof(((struct sockaddr_un *)0)->sun_path)];

/* ---------------------------------------------------------------- joining */

/* What a wish from the environment is worth; said once, at the start. */
static void read_wishes(void)
{
	const char *prio = rein_env(REIN_ENV_PRIO), *name = rein_env(REIN_ENV_NAME);
	const char *class_name = rein_env(REIN_ENV_CLASS);
	hello.header = (struct rein_msg_header){.magic = REIN_ABI_MAGIC,
	                                        .type = REIN_MSG_HELLO,
	                                        .size = sizeof(hello),
	                                        .abi_major = REIN_ABI_MAJOR,
	                                        .abi_minor = REIN_ABI_MINOR};
	hello.prio = REIN_PRIO_UNSET;
	if (prio && *prio) {
		char *end;
		long n = strtol(prio, &end, 10);
		if (*end || n < 0 || n > REIN_PRIO_MAX)
			rein_error("REIN_PRIO=%s ignored: want 0 (best effort) to %d (most urgent)",
			           prio, REIN_PRIO_MAX);
		else
			hello.prio = (int32_t)n;
	}
	if (name)
		strncpy(hello.name, name, sizeof(hello.name) - 1);
	if (class_name)
		strncpy(hello.class_name, class_name, sizeof(hello.class_name) - 1);
}

/* 0; -EPROTO with `why` filled: refused, or not understood; other: no answer. */
static int check_welcome(const struct rein_msg_welcome *w, ssize_t n, unsigned n_fds,
                         const char **why)
{
	static char text[sizeof(w->text) + 1];
	if (n <= 0)
		return n ? (int)n : -ECONNRESET;
	if ((size_t)n < sizeof(w->header) || w->header.magic != REIN_ABI_MAGIC ||
	    w->header.type != REIN_MSG_WELCOME) {
		*why = "what answers there is not reind";
		return -EPROTO;
	}
	if (w->header.abi_major != REIN_ABI_MAJOR) {
		*why =
		    "reind and librein.so are of different versions: install both from one release";
		return -EPROTO;
	}
	if ((size_t)n < sizeof(*w) || (!w->error && n_fds != REIN_FD_N)) {
		*why = "its answer is malformed";
		return -EPROTO;
	}
	if (w->error) {
		memcpy(text, w->text, sizeof(w->text));
		*why = *text ? text : strerrordesc_np(w->error);
		return -EPROTO;
	}
	return 0;
}

/* The program runs on with less than it asked for: said once, or nobody would know. */
static void say_denied(const struct rein_msg_welcome *w)
{
	static bool said;
	if (!said)
		rein_error("REIN_PRIO=%d was not granted, only %d: %.*s", hello.prio, w->prio,
		           (int)sizeof(w->text), w->text);
	said = true;
}

static int talk(int fd, const char **why)
{
	struct rein_msg_welcome welcome;
	int fds[REIN_SOCK_FDS];
	unsigned n_fds = REIN_ARRAY_LEN(fds);
	int err = rein_sock_send(fd, &hello, sizeof(hello), NULL, 0);
	if (err)
		return err;
	ssize_t n = rein_sock_recv(fd, &welcome, sizeof(welcome), fds, &n_fds, WELCOME_MS);
	if (n < 0)
		n_fds = 0;
	err = check_welcome(&welcome, n, n_fds, why);
	if (!err && (err = rein_attach_map(fds)) != 0)
		*why = "its shared memory cannot be mapped";
	if (!err && welcome.prio < hello.prio)
		say_denied(&welcome);
	for (unsigned i = 0; i < n_fds; i++)
		close(fds[i]);
	return err;
}

/* Says what keeps us from joining, each thing once. */
static void report(int err, const char *why)
{
	static int said = 1; /* nothing yet: neither joined (0) nor an error */
	if (err == said)
		return;
	said = err;
	if (!err)
		rein_debug("joined run_dir=%s", run_dir);
	else if (err == -EPROTO)
		rein_error("reind at %s refused: %s; running unscheduled", run_dir, why);
	else if (err == -EACCES || err == -EPERM)
		rein_error("no permission for %s/%s; running unscheduled", run_dir,
		           REIN_CLIENT_SOCKET);
	else
		rein_debug("no daemon at %s: %s; running unscheduled", run_dir,
		           strerrordesc_np(-err));
}

static int join(void)
{
	const char *why = "";
	int fd = rein_sock_connect(run_dir, REIN_CLIENT_SOCKET);
	int err = fd < 0 ? fd : talk(fd, &why);
	if (err && fd >= 0)
		close(fd);
	if (!err)
		sock = rein_ours_of(fd);
	report(err, why);
	return err;
}

/* ---------------------------------------------------------------- the warden */

static void wait_for_hang_up(void)
{
	char drop_it[256];
	for (;;) {
		struct pollfd p = {.fd = sock.fd, .events = POLLIN};
		if (poll(&p, 1, -1) < 0)
			continue;
		if (p.revents & (POLLHUP | POLLERR | POLLNVAL) || !rein_ours_still(&sock))
			return;
		ssize_t n = recv(sock.fd, drop_it, sizeof(drop_it), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
	}
}

static void nap(int ms)
{
	poll(NULL, 0, ms);
}

/* A refusal stands until another daemon has made the socket anew. */
static void wait_for_another(void)
{
	struct sockaddr_un addr;
	struct stat was, now;
	if (rein_sock_addr(&addr, run_dir, REIN_CLIENT_SOCKET) || stat(addr.sun_path, &was) != 0)
		return;
	do
		nap(REFUSED_RETRY_MS);
	while (stat(addr.sun_path, &now) == 0 && now.st_ino == was.st_ino &&
	       now.st_ctim.tv_sec == was.st_ctim.tv_sec &&
	       now.st_ctim.tv_nsec == was.st_ctim.tv_nsec);
}

static void *warden_main(void *unused)
{
	prctl(PR_SET_NAME, "rein-warden");
	for (;;) {
		int err = join();
		rein_store_release(&first_over, 1);
		rein_futex_wake_all(&first_over);
		if (!err) {
			wait_for_hang_up();
			rein_attach_unmap();
			rein_ours_close(&sock);
			rein_debug("the daemon has gone; running unscheduled");
		} else if (err == -EPROTO) {
			wait_for_another();
		}
		nap(RETRY_MS);
	}
	return NULL;
}

static int start_warden(void)
{
	pthread_t thread;
	pthread_attr_t attr;
	int err = pthread_attr_init(&attr);
	if (err)
		return -err;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, WARDEN_STACK);
	err = pthread_create(&thread, &attr, warden_main, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

/* A forked child has our descriptors and mappings but neither threads nor a usable CUDA: it lets
 * go of all of it and passes every call through. */
static void in_child(void)
{
	rein_or_seqcst(&rein_attention, REIN_ATT_OFF);
	rein_attach_let_go();
	rein_ours_close(&sock);
}

static void at_end(void)
{
	if (!(rein_load_acquire(&rein_attention) & REIN_ATT_OFF))
		rein_helper_stop();
}

static void start_threads(void)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* no signal of theirs on our threads */
	int err = rein_helper_start();
	if (!err)
		err = start_warden();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		rein_error("cannot start a thread: %s; running unscheduled", strerrordesc_np(-err));
	else
		return;
	rein_store_release(&first_over, 1);
}

void rein_attach_start(void)
{
	if (rein_load_acquire(&started) || rein_swap_seqcst(&started, 1))
		return;
	int err = rein_run_dir(run_dir, sizeof(run_dir));
	if (err || (uintptr_t)REIN_CONTROL % (uintptr_t)sysconf(_SC_PAGESIZE)) {
		rein_error("cannot join reind: %s; running unscheduled",
		           err ? rein_run_dir_why(err) : "misaligned areas");
		return;
	}
	read_wishes();
	if (pthread_atfork(NULL, NULL, in_child) || atexit(at_end)) {
		rein_error("cannot join reind: out of memory; running unscheduled");
		return;
	}
	start_threads();
	uint64_t until = rein_now_ns() + FIRST_WAIT_NS;
	while (!rein_load_acquire(&first_over) && rein_now_ns() < until)
		rein_futex_wait(&first_over, 0, until);
}
