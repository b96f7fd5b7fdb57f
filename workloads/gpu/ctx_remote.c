// SPDX-License-Identifier: Apache-2.0
/*
 * ctx_remote.c: can another process, such as a daemon, hold this one's context? Runs under
 * preload/rm_spy.so.
 *
 * Asks: a helper process without CUDA is given the open /dev/nvidiactl of this one (SCM_RIGHTS) and
 * the numbers of its channel group. Do the controls work from there: reading the time slice,
 * preempting, holding and releasing; the same as an unprivileged user (uid 65534) with the passed
 * descriptor; and, for safety, with the right numbers but a descriptor of the helper's own, which
 * should be refused. Read: the status of each control, and the load's progress as in ctx_hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/sock.h"
#include "../lib/fact.h"
#include "lib/ctx_hold.h"

#define LIMIT_S 45
#define REPLY_MS 5000
#define NOBODY 65534
#define CALLS 100
#define PREEMPT_TIMEOUT_US 100000

WL_EMBED(gpu_kernels, GPU_FATBIN);

enum ask { ASK_READ, ASK_PREEMPT, ASK_HOLD, ASK_RELEASE, ASK_NOBODY, ASK_FOREIGN };
struct request {
	enum ask ask;
	enum wl_recipe recipe;
	struct wl_rm_group group; /* fd is replaced by the helper's */
};
struct reply {
	struct wl_hold_result r;
	uint64_t timeslice_us;
};

/* ---- the helper */

/* Reads the time slice and preempts as another user, in a process of its own. */
static struct reply as_nobody(const struct wl_rm_group *g)
{
	struct reply reply = {.r.first.error = EPERM};
	int pipe_fd[2];
	if (pipe2(pipe_fd, O_CLOEXEC) != 0)
		return reply;
	pid_t pid = fork();
	if (pid == 0) {
		if (setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
		    setresuid(NOBODY, NOBODY, NOBODY) == 0) {
			reply.r.first = wl_rm_get_timeslice(g, &reply.timeslice_us);
			reply.r.second = wl_rm_preempt(g, PREEMPT_TIMEOUT_US);
		}
		_exit(write(pipe_fd[1], &reply, sizeof(reply)) != sizeof(reply));
	}
	close(pipe_fd[1]);
	if (pid > 0) {
		struct reply got;
		if (read(pipe_fd[0], &got, sizeof(got)) == sizeof(got))
			reply = got;
		waitpid(pid, NULL, 0);
	}
	close(pipe_fd[0]);
	return reply;
}

static struct reply serve_one(const struct request *q, struct wl_rm_group *g)
{
	struct reply reply = {0};
	struct wl_rm_group own = *g;
	switch (q->ask) {
	case ASK_READ:
		reply.r.first = wl_rm_get_timeslice(g, &reply.timeslice_us);
		break;
	case ASK_PREEMPT:
		reply.r.first = wl_rm_preempt(g, PREEMPT_TIMEOUT_US);
		break;
	case ASK_HOLD:
	case ASK_RELEASE:
		reply.r = wl_hold_local(NULL, g, q->recipe, q->ask == ASK_HOLD);
		break;
	case ASK_NOBODY:
		reply = as_nobody(g);
		break;
	case ASK_FOREIGN:
		own.fd = open("/dev/nvidiactl", O_RDWR | O_CLOEXEC);
		if (own.fd < 0) {
			reply.r.first.error = errno;
			break;
		}
		reply.r.first = wl_rm_get_timeslice(&own, &reply.timeslice_us);
		close(own.fd);
		break;
	}
	return reply;
}

static void help(int sock)
{
	struct request q;
	int fd = -1;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int passed[1];
		unsigned n = 1;
		if (rein_sock_recv(sock, &q, sizeof(q), passed, &n, -1) != (ssize_t)sizeof(q))
			_exit(0); /* hang-up */
		if (n == 1)
			fd = passed[0];
		q.group.fd = fd;
		struct reply reply = serve_one(&q, &q.group);
		if (rein_sock_send(sock, &reply, sizeof(reply), NULL, 0))
			_exit(1);
	}
}

/* ---- this process */
static struct wl_load load;
static struct wl_watch watch;
static pid_t helper;
static int sock = -1;

static struct reply ask(enum ask what, enum wl_recipe recipe, const struct wl_rm_group *g,
                        bool pass)
{
	struct request q = {.ask = what, .recipe = recipe, .group = *g};
	struct reply reply = {.r.first.error = EIO};
	unsigned none = 0;
	int err = rein_sock_send(sock, &q, sizeof(q), &g->fd, pass ? 1 : 0);
	if (err == 0)
		err = (int)rein_sock_recv(sock, &reply, sizeof(reply), NULL, &none, REPLY_MS);
	if (err != (int)sizeof(reply))
		reply.r.first.error = err < 0 ? -err : EIO;
	return reply;
}

static struct wl_hold_result by_helper(void *arg, struct wl_rm_group *g, enum wl_recipe recipe,
                                       bool hold)
{
	return ask(hold ? ASK_HOLD : ASK_RELEASE, recipe, g, false).r;
}

static void first_questions(const struct wl_rm_group *g)
{
	struct reply r = ask(ASK_READ, 0, g, true);
	wl_fact_text("context-gate.remote_status", wl_rm_result_text(r.r.first),
	             "GET_TIMESLICE from another process over the passed descriptor: %llu us",
	             (unsigned long long)r.timeslice_us);
	r = ask(ASK_FOREIGN, 0, g, false);
	wl_fact_text("context-gate.foreign_descriptor_status", wl_rm_result_text(r.r.first),
	             "GET_TIMESLICE with our numbers over a descriptor of the helper's own; "
	             "anything but a refusal would be a hole");
	if (getuid() != 0) {
		wl_fact_skip("context-gate.unprivileged_status", "needs root, to give it up");
		return;
	}
	r = ask(ASK_NOBODY, 0, g, false);
	wl_fact_text("context-gate.unprivileged_status", wl_rm_result_text(r.r.first),
	             "GET_TIMESLICE as uid %d over the passed descriptor", NOBODY);
	wl_fact_text("context-gate.unprivileged_preempt_status", wl_rm_result_text(r.r.second),
	             "PREEMPT as uid %d over the passed descriptor", NOBODY);
}

static void remote_preempts(const struct wl_rm_group *g, unsigned calls)
{
	struct wl_samples s = {0};
	struct wl_hold_result last = {0};
	for (unsigned i = 0; i < calls; i++) {
		last = ask(ASK_PREEMPT, 0, g, false).r;
		if (!wl_rm_ok(last.first))
			break;
		wl_samples_add(&s, last.first.ns);
		usleep(3000);
	}
	wl_fact_text("context-gate.remote_preempt_status", wl_rm_result_text(last.first), NULL);
	wl_fact_samples("context-gate.remote_preempt_call_us", "us", &s, 1e3,
	                "PREEMPT(wait) from the helper while the load runs");
	wl_samples_fini(&s);
}

static bool start_helper(void)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 ||
	    (helper = fork()) < 0) {
		fprintf(stderr, "ctx_remote: cannot start the helper: %s\n", strerror(errno));
		return false;
	}
	if (helper == 0) {
		close(pair[0]);
		help(pair[1]);
	}
	close(pair[1]);
	sock = pair[0];
	return true;
}

static void stop_helper(void)
{
	close(sock);
	for (int i = 0; i < 200; i++) {
		if (waitpid(helper, NULL, WNOHANG) == helper)
			return;
		usleep(5000);
	}
	kill(helper, SIGKILL);
	waitpid(helper, NULL, 0);
}

int main(int argc, char **argv)
{
	struct wl_shape shape = WL_SHAPE_DEFAULT;
	struct wl_rm_group g;
	char why[160];
	wl_shape_options(&shape, argc, argv);
	wl_guard(LIMIT_S);
	if (!start_helper())
		return 1;
	wl_load_open(&load, gpu_kernels, &shape);
	if (wl_rm_capture(&g, NULL, why, sizeof(why)) || !g.subdevice) {
		wl_fact_skip("context-gate.remote_status", "%s", why);
		stop_helper();
		return WL_EXIT_SKIPPED;
	}
	wl_guard_group(&g);
	wl_load_start(&load);
	if (!wl_load_moves(&load, wl_load_progress(&load), 5000)) {
		fprintf(stderr, "ctx_remote: the load shows no progress\n");
		wl_guard_exit(1);
	}
	first_questions(&g);
	remote_preempts(&g, shape.quick ? 3 : CALLS);
	wl_watch_start(&watch, &load.page[0]);
	struct wl_hold_plan p = {
	    .prefix = "remote_",
	    .recipe = WL_HOLD_DISABLE_PREEMPT,
	    .cycles = shape.quick ? 2 : 20,
	    .hold_ms = 5,
	    .by = by_helper,
	};
	struct wl_hold_tally t = wl_hold_run(&p, &load, &watch, &g);
	if (t.stuck) {
		fprintf(stderr, "ctx_remote: the load does not run again after %s\n",
		        wl_recipe_text[p.recipe]);
		wl_guard_exit(1);
	}
	wl_watch_stop(&watch);
	wl_load_stop(&load);
	wl_fact_flag("context-gate.remote_result_intact", wl_load_intact(&load),
	             "every element against the host's computation");
	stop_helper();
	return atomic_load(&load.failed) != 0;
}
