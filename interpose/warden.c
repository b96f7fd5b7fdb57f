// SPDX-License-Identifier: Apache-2.0
/*
 * warden.c: the warden thread, which joins the daemon, waits until it hangs up and tries again for
 * ever; and the start of both our threads, the end of the process, and fork. The warden never
 * calls CUDA, takes a lock or allocates.
 */
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../common/duration.h"
#include "../common/env.h"
#include "../common/futex.h"
#include "../common/log.h"
#include "../common/sms.h"
#include "../common/sock.h"
#include "../common/wire.h"
#include "agent.h"
#include "demand.h"
#include "helper.h"
#include "ours.h"
#include "point.h"
#include "rmgate.h"

#define FIRST_WAIT_NS (50 * REIN_MS) /* cuInit waits this long for the first attempt */
#define WELCOME_MS 1000
#define RETRY_MS 500
#define LOOK_MS 2000
#define REFUSED_RETRY_MS 2000
#define WARDEN_STACK (1024 * 1024) /* glibc takes the libraries' thread-local data from it */

static bool old_daemon; /* one that takes no HELLO but minor 1's */
static rein_a32 started, first_over;
static struct rein_ours sock = {.fd = -1};
static struct rein_msg_hello hello;
static char run_dir[sizeof(((struct sockaddr_un *)0)->sun_path)];

/* ---------------------------------------------------------------- joining */

/* `fallback` if it is not set, or is no number within the limits, which is said. */
static long number_wish(enum rein_env_id id, long min, long max, long fallback, const char *note)
{
	const char *text = rein_env_filled(id);
	char *end;
	long n = text ? strtol(text, &end, 10) : fallback;
	if (!text || (end != text && !*end && n >= min && n <= max))
		return n;
	rein_error("%s=%s ignored: want %ld to %ld%s", rein_env_table[id].name, text, min, max,
	           note);
	return fallback;
}

static bool time_wish(enum rein_env_id id, uint64_t *ns)
{
	const char *text = rein_env_filled(id);
	if (!text || rein_duration_parse(text, ns) == 0)
		return true;
	rein_error("no reservation is asked for: %s=%s is no time with its unit, as 20ms",
	           rein_env_table[id].name, text);
	return false;
}

static void read_sms(void)
{
	const char *text = rein_env_filled(REIN_ENV_SMS);
	if (text && rein_sms_parse(text, &hello.sms))
		rein_error("REIN_SMS=%s ignored: accepted are %s", text, REIN_SMS_ACCEPTED);
}

/* All of it or nothing: what is left of a wish without its deadline is another wish. */
static void read_timing(void)
{
	struct rein_timing t = {0};
	char why[160];
	if (!time_wish(REIN_ENV_DEADLINE, &t.deadline_ns) ||
	    !time_wish(REIN_ENV_PERIOD, &t.period_ns) || !time_wish(REIN_ENV_BUDGET, &t.budget_ns))
		return;
	if (rein_timing_check(&t, why, sizeof(why)))
		rein_error("no reservation is asked for: %s", why);
	else
		hello.timing = t;
}

/* What a wish from the environment is worth; said once, at the start. */
static void read_wishes(void)
{
	const char *name = rein_env(REIN_ENV_NAME), *job = rein_env(REIN_ENV_JOB);
	const char *class_name = rein_env(REIN_ENV_CLASS);
	hello.header = (struct rein_msg_header){.magic = REIN_ABI_MAGIC,
	                                        .type = REIN_MSG_HELLO,
	                                        .size = sizeof(hello),
	                                        .abi_major = REIN_ABI_MAJOR,
	                                        .abi_minor = REIN_ABI_MINOR};
	hello.prio = (int32_t)number_wish(REIN_ENV_PRIO, 0, REIN_PRIO_MAX, REIN_PRIO_UNSET,
	                                  " (0 is best effort, 99 most urgent)");
	hello.weight = (uint32_t)number_wish(REIN_ENV_WEIGHT, 1, REIN_WEIGHT_MAX, 0, "");
	hello.latency_nice =
	    (int32_t)number_wish(REIN_ENV_LATENCY_NICE, REIN_NICE_MIN, REIN_NICE_MAX,
	                         REIN_NICE_UNSET, " (lower is sooner)");
	read_timing();
	read_sms();
	if (name)
		strncpy(hello.name, name, sizeof(hello.name) - 1);
	if (class_name)
		strncpy(hello.class_name, class_name, sizeof(hello.class_name) - 1);
	if (job)
		strncpy(hello.job, job, sizeof(hello.job) - 1);
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
	if ((size_t)n < REIN_WELCOME_SIZE_1 ||
	    (!w->error && (n_fds < REIN_FD_N || n_fds > REIN_FD_MAX))) {
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
	bool refused = rein_timing_any(&hello.timing) && w->promise == REIN_PROMISE_REFUSED;
	if (said || (w->prio >= hello.prio && (!w->text[0] || refused)))
		return;
	if (w->prio < hello.prio)
		rein_error("REIN_PRIO=%d was not granted, only %d: %.*s", hello.prio, w->prio,
		           (int)sizeof(w->text), w->text);
	else
		rein_error("not all was granted: %.*s", (int)sizeof(w->text), w->text);
	said = true;
}

/* The same for a reservation. */
static void say_refused(const struct rein_msg_welcome *w)
{
	static bool said;
	if (said || !rein_timing_any(&hello.timing) || w->promise == REIN_PROMISE_GIVEN ||
	    w->promise == REIN_PROMISE_NONE)
		return;
	rein_error("the reservation was refused, the program runs without: %.*s",
	           (int)sizeof(w->promise_text),
	           w->promise == REIN_PROMISE_UNASKED ? "reind is older and knows none"
	                                              : w->promise_text);
	said = true;
}

static int talk(int fd, const char **why)
{
	struct rein_msg_welcome welcome = {0};
	int fds[REIN_SOCK_FDS];
	unsigned n_fds = REIN_ARRAY_LEN(fds);
	hello.header.size = old_daemon ? REIN_HELLO_SIZE_1 : sizeof(hello);
	int err = rein_sock_send(fd, &hello, hello.header.size, NULL, 0);
	if (err)
		return err;
	ssize_t n = rein_sock_recv(fd, &welcome, sizeof(welcome), fds, &n_fds, WELCOME_MS);
	if (n < 0)
		n_fds = 0;
	if (n == 0) /* it did not understand: perhaps it understands less */
		old_daemon = !old_daemon;
	err = check_welcome(&welcome, n, n_fds, why);
	if (!err && (err = rein_attach_map(fds, n_fds)) != 0)
		*why = "its shared memory cannot be mapped";
	if (!err) {
		say_denied(&welcome);
		say_refused(&welcome);
	}
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

static int connect_it(void)
{
	int fd = rein_sock_connect(run_dir, REIN_CLIENT_SOCKET);
	if (fd < 0 || fd >= REIN_OURS_FROM)
		return fd;
	int higher = fcntl(fd, F_DUPFD_CLOEXEC, REIN_OURS_FROM);
	int err = higher < 0 ? -errno : 0;
	close(fd);
	return err ? err : higher;
}

static int join(void)
{
	const char *why = "";
	int fd = connect_it();
	int err = fd < 0 ? fd : talk(fd, &why);
	if (err && fd >= 0)
		close(fd);
	if (!err)
		sock = rein_ours_of(fd);
	report(err, why);
	return err;
}

/* ---------------------------------------------------------------- the warden */

/* By futex: poll() may be denied, and fails where no descriptors are allowed. */
static void nap(int ms)
{
	static const rein_a32 nobody;
	rein_futex_wait(&nobody, 0, rein_now_ns() + (uint64_t)ms * REIN_MS);
}

/* The daemon rings when we are to look after the points. False: nobody will ring there any more. */
static bool rung(int bell)
{
	char drop_it[256];
	if (bell != rein_attach_bell_fd())
		return true; /* the program has closed it, and may have it for something else */
	ssize_t n = recv(bell, drop_it, sizeof(drop_it), MSG_DONTWAIT);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Or until the program has closed one of our descriptors. The socket's end is not seen then, for
 * poll() keeps it open; and nothing could be rung. So it looks for itself now and then. */
static void wait_for_hang_up(void)
{
	char drop_it[256];
	bool bell = true;
	for (;;) {
		struct pollfd both[2] = {
		    {.fd = sock.fd, .events = POLLIN},
		    {.fd = bell ? rein_attach_bell_fd() : -1, .events = POLLIN}};
		if (poll(both, REIN_ARRAY_LEN(both), rein_point_watch(LOOK_MS)) < 0)
			nap(RETRY_MS);
		if (both[1].revents) {
			bell = rung(both[1].fd);
			rein_agent_wake();
			if (rein_agent_due())
				rein_helper_wake();
		}
		if (both[0].revents & (POLLHUP | POLLERR | POLLNVAL) || !rein_ours_still(&sock) ||
		    !rein_attach_rings())
			return;
		ssize_t n = recv(sock.fd, drop_it, sizeof(drop_it), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
	}
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
		rein_point_open_past();
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

/* Not what the program's thread has for itself: a real-time class, a core of its own. */
static void own_class(pthread_attr_t *attr, int policy)
{
	struct sched_param lowest = {.sched_priority = sched_get_priority_min(policy)};
	cpu_set_t cpus;
	pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(attr, policy);
	pthread_attr_setschedparam(attr, &lowest);
	if (sched_getaffinity(getpid(), sizeof(cpus), &cpus) == 0)
		pthread_attr_setaffinity_np(attr, sizeof(cpus), &cpus);
}

/* If a class is not permitted, an ordinary thread; then as the program's thread after all. */
static int start(void *(*thread_main)(void *), size_t stack, int policy)
{
	const int policies[] = {policy, SCHED_OTHER, -1};
	pthread_t thread;
	pthread_attr_t attr;
	int err = -1;
	for (unsigned i = policy == SCHED_OTHER; i < REIN_ARRAY_LEN(policies) && err; i++) {
		err = pthread_attr_init(&attr);
		if (err)
			break;
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		if (stack)
			pthread_attr_setstacksize(&attr, stack);
		if (policies[i] >= 0)
			own_class(&attr, policies[i]);
		err = pthread_create(&thread, &attr, thread_main, NULL);
		pthread_attr_destroy(&attr);
	}
	return -err;
}

int rein_attach_thread(void *(*thread_main)(void *), size_t stack, int policy)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* no signal of theirs on our threads */
	int err = start(thread_main, stack, policy);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

/* A forked child has our descriptors and mappings but neither threads nor a usable CUDA: it lets
 * go of all of it and passes every call through. */
static void in_child(void)
{
	rein_or_seqcst(&rein_attention, REIN_ATT_OFF);
	rein_and_seqcst(&rein_attention, ~REIN_ATT_OUTS); /* the parent's streams */
	rein_rmgate_child();
	rein_agent_child();
	rein_attach_let_go();
	rein_ours_close(&sock);
}

static void at_end(void)
{
	if (rein_load_acquire(&rein_attention) & REIN_ATT_OFF)
		return;
	rein_rmgate_stop();
	rein_point_off(NULL);
	rein_agent_stop();
	rein_helper_stop();
}

static void start_threads(void)
{
	int err = rein_attach_thread(rein_helper_main, 0, SCHED_OTHER);
	if (!err)
		err = rein_attach_thread(warden_main, WARDEN_STACK, SCHED_OTHER);
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
	rein_agent_settle();
}
