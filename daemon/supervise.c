// SPDX-License-Identifier: Apache-2.0
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "../policy/policies.h"
#include "vitals.h"

#define EXIT_RUNTIME 1

static pid_t supervisor;
static unsigned starts;
static char why[96];

pid_t rein_supervise_pid(void)
{
	return supervisor ? supervisor : getpid();
}

unsigned rein_supervise_starts(void)
{
	return starts;
}

const char *rein_supervise_why(void)
{
	return why;
}

/* ---------------------------------------------------------------- a worker */

struct life {
	struct rein_options options; /* the policy changes when one has failed */
	rein_worker_fn *work;
	sigset_t handled, before;
	pid_t pid;
	bool stopping;
	uint64_t kill_ns; /* stopping: when patience ends */
	uint64_t ended_ns[REIN_SUPERVISE_MAX];
	unsigned ends;
};

static int become_worker(struct life *l, int ready_fd)
{
	sigprocmask(SIG_SETMASK, &l->before, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		rein_warn("the worker would outlive its supervisor: %s", strerror(errno));
	if (getppid() != supervisor) /* it died before that took effect */
		return EXIT_RUNTIME;
	prctl(PR_SET_NAME, "reind-worker");
	return l->work(&l->options, ready_fd);
}

/* Returns when it serves: 0. -EIO: it ended before. The rest -errno. */
static int start_worker(struct life *l)
{
	int fd[2];
	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	REIN_AUTO_CLOSE int ready_fd = fd[0];
	starts++;
	rein_store_relaxed(&rein_vitals->step_since_ns, 0);
	rein_store_relaxed(&rein_vitals->policy, 0);
	rein_store_relaxed(&rein_vitals->admits, 0);
	l->pid = fork();
	if (l->pid == 0) {
		close(rein_take_fd(&ready_fd));
		exit(become_worker(l, fd[1]));
	}
	int err = l->pid < 0 ? -errno : 0;
	close(fd[1]);
	if (err)
		return err;
	char byte;
	ssize_t n;
	do
		n = read(ready_fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : -EIO;
}

/* ---------------------------------------------------------------- its end */

static void forward(struct life *l, int signal)
{
	if (signal != SIGHUP && !l->stopping) {
		l->stopping = true;
		l->kill_ns = rein_now_ns() + REIN_SUPERVISE_STOP_NS;
	}
	kill(l->pid, signal);
}

/* Waits for the worker's end, passing signals on; its wait status. */
static int wait_for_end(struct life *l)
{
	int status;
	for (;;) {
		uint64_t now_ns = rein_now_ns();
		struct timespec left =
		    rein_timespec(l->stopping && l->kill_ns > now_ns ? l->kill_ns - now_ns : 0);
		if (l->stopping && now_ns >= l->kill_ns) {
			rein_error("the worker does not end: killing it");
			kill(l->pid, SIGKILL);
			left.tv_sec = 1;
		}
		int signal = l->stopping ? sigtimedwait(&l->handled, NULL, &left)
		                         : sigwaitinfo(&l->handled, NULL);
		if (waitpid(l->pid, &status, WNOHANG) == l->pid)
			return status;
		if (signal > 0 && signal != SIGCHLD)
			forward(l, signal);
	}
}

static bool is_crash(int status)
{
	static const int fatal[] = {SIGSEGV, SIGBUS,  SIGILL, SIGFPE,
	                            SIGABRT, SIGTRAP, SIGSYS, SIGALRM};
	for (unsigned i = 0; WIFSIGNALED(status) && i < REIN_ARRAY_LEN(fatal); i++)
		if (WTERMSIG(status) == fatal[i])
			return true;
	return WIFEXITED(status); /* nobody asked it to; a sanitizer ends like that too */
}

static void tell_how(int status, char *how, size_t len)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(how, len, "hung for %d s in admission", REIN_ADMIT_HANG_S);
	else if (WIFSIGNALED(status))
		snprintf(how, len, "crashed: SIG%s", sigabbrev_np(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == REIN_EXIT_HUNG)
		snprintf(how, len, "hung for 1 s");
	else
		snprintf(how, len, "crashed: exit status %d", WEXITSTATUS(status));
}

/* Says what happened, and chooses the next worker's policy. */
static void judge(struct life *l, int status)
{
	char how[48], at[16] = "";
	const struct rein_policy_ops *policy = rein_vitals_policy(rein_vitals);
	bool inside = rein_load_acquire(&rein_vitals->step_since_ns) ||
	              rein_load_acquire(&rein_vitals->admits);
	if (!is_crash(status)) {
		rein_error("the worker was killed (SIG%s): starting another",
		           sigabbrev_np(WTERMSIG(status)));
		return;
	}
	tell_how(status, how, sizeof(how));
	if (inside && policy)
		rein_error("policy '%s' %s: starting again with policy '%s'", policy->name, how,
		           rein_policy_prio.name);
	else
		rein_error("reind %s, outside of policy '%s': starting again with policy '%s'", how,
		           policy ? policy->name : "none", rein_policy_prio.name);
	time_t now = time(NULL);
	struct tm local;
	if (localtime_r(&now, &local))
		strftime(at, sizeof(at), "%H:%M", &local);
	snprintf(why, sizeof(why), "%s %s at %s", inside && policy ? policy->name : "reind", how,
	         at);
	l->options.policy = &rein_policy_prio;
}

/* One more end that nobody asked for; true: too many of them lately. */
static bool too_many(struct life *l)
{
	uint64_t now_ns = rein_now_ns();
	uint64_t oldest_ns = l->ended_ns[l->ends % REIN_SUPERVISE_MAX];
	l->ended_ns[l->ends++ % REIN_SUPERVISE_MAX] = now_ns;
	return l->ends > REIN_SUPERVISE_MAX && now_ns - oldest_ns < REIN_SUPERVISE_WINDOW_NS;
}

/* ---------------------------------------------------------------- the supervisor */

static int begin(struct life *l, const struct rein_options *o, rein_worker_fn *work)
{
	*l = (struct life){.options = *o, .work = work};
	struct rein_vitals *shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	rein_vitals = shared;
	supervisor = getpid();
	signal(SIGCHLD, SIG_DFL); /* whoever started us may have ignored it: then no wait works */
	signal(SIGALRM, SIG_DFL); /* ends a worker (vitals.h) */
	sigemptyset(&l->handled);
	sigaddset(&l->handled, SIGTERM);
	sigaddset(&l->handled, SIGINT);
	sigaddset(&l->handled, SIGHUP);
	sigaddset(&l->handled, SIGCHLD);
	return sigprocmask(SIG_BLOCK, &l->handled, &l->before) < 0 ? -errno : 0;
}

int rein_supervise(const struct rein_options *o, rein_worker_fn *work,
                   void (*ready)(const struct rein_options *o, void *arg), void *arg)
{
	struct life l;
	int err = begin(&l, o, work);
	while (!err) {
		err = start_worker(&l);
		if (!err && starts == 1)
			ready(o, arg);
		if (err && err != -EIO)
			break;
		int status = wait_for_end(&l);
		if (err && WIFSIGNALED(status) && !l.stopping) {
			char how[48];
			tell_how(status, how, sizeof(how));
			rein_error("the worker %s before it served", how);
		}
		if (l.stopping || err == -EIO || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
			return status == 0 ? 0 : EXIT_RUNTIME;
		if (too_many(&l)) {
			rein_error(
			    "the worker ended %u times within %llu s: giving up; the programs "
			    "run on unscheduled",
			    REIN_SUPERVISE_MAX + 1, REIN_SUPERVISE_WINDOW_NS / REIN_S);
			return EXIT_RUNTIME;
		}
		judge(&l, status);
	}
	rein_error("cannot start the worker: %s", strerror(-err));
	return EXIT_RUNTIME;
}
