// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../common/clock.h"

#define GRACE_NS (6 * REIN_S) /* more than a probe's own guard takes */
#define POLL_MS 20
#define LINE_BYTES 16384
#define ARGS_MAX 16

enum { TO, OUT, ERR, PIPES };

/* A pipe's line in the making. */
struct lines {
	char text[LINE_BYTES];
	size_t n;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

void rein_cli_probe_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal}; /* no SA_RESTART: poll() returns */
	interrupted = 0;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int rein_cli_probe_interrupted(void)
{
	return interrupted;
}

/* ---------------------------------------------------------------- what it says */

static void take_fact(struct rein_cli_probe *p, const char *line)
{
	json_t *said = json_loads(line, 0, NULL);
	const char *id = json_string_value(json_object_get(said, "fact"));
	if (id) {
		json_t *fact = json_copy(said);
		json_object_del(fact, "fact");
		json_object_del(fact, "note");
		json_object_set_new(p->facts, id, fact);
	}
	json_decref(said);
}

static void take_complaint(struct rein_cli_probe *p, const char *line)
{
	if (*line)
		rein_printable(p->why, sizeof(p->why), line);
}

/* Reads what is there and takes whole lines; false: the end. One that is too long is cut. */
static bool take(struct rein_cli_probe *p, int fd, struct lines *l,
                 void (*line)(struct rein_cli_probe *p, const char *text))
{
	ssize_t n = read(fd, l->text + l->n, sizeof(l->text) - 1 - l->n);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n > 0)
		l->n += (size_t)n;
	l->text[l->n] = 0;
	char *from = l->text;
	for (char *end; (end = strchr(from, '\n')); from = end + 1) {
		*end = 0;
		line(p, from);
	}
	l->n = strlen(from);
	memmove(l->text, from, l->n + 1);
	if (l->n == sizeof(l->text) - 1 || (n <= 0 && l->n)) {
		line(p, l->text);
		l->n = 0;
	}
	return n > 0;
}

/* ---------------------------------------------------------------- the process */

/* In the child. */
static void become(const struct rein_cli_probe *p, int pipes[PIPES][2], pid_t parent)
{
	char *argv[ARGS_MAX] = {(char *)(uintptr_t)p->path};
	for (unsigned i = 0; p->args && p->args[i] && i < ARGS_MAX - 2; i++)
		argv[i + 1] = (char *)(uintptr_t)p->args[i];
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a guard's child is then told to let go */
	if (getppid() != parent)
		_exit(1);
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(signals); i++)
		signal(signals[i], SIG_DFL);
	for (unsigned i = 0; i + 1 < CLI_PROBE_ENV_MAX && p->env[i]; i += 2) {
		if (p->env[i + 1])
			setenv(p->env[i], p->env[i + 1], 1);
		else
			unsetenv(p->env[i]);
	}
	if (dup2(pipes[TO][0], 0) < 0 || dup2(pipes[OUT][1], 1) < 0 || dup2(pipes[ERR][1], 2) < 0)
		_exit(1);
	execv(p->path, argv);
	fprintf(stderr, "%s: %s\n", p->path, strerror(errno));
	_exit(126);
}

/* The process' status once it has ended, or -1; at most until then. */
static int reap(pid_t pid, uint64_t until_ns)
{
	int status;
	for (;;) {
		pid_t r = waitpid(pid, &status, WNOHANG);
		if (r == pid)
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		if ((r < 0 && errno != EINTR) || rein_now_ns() >= until_ns)
			return -1;
		usleep(2000);
	}
}

/* Until its end, its time's, or the user's patience's. 0, -ETIMEDOUT, -EINTR. */
static int listen_to(struct rein_cli_probe *p, pid_t pid, int pipes[PIPES][2])
{
	static struct lines out, err;
	uint64_t until = rein_now_ns() + p->limit_s * REIN_S;
	bool open[PIPES] = {true, true, true};
	out.n = err.n = 0;
	while (open[OUT] || open[ERR]) {
		struct pollfd fds[] = {{.fd = open[OUT] ? pipes[OUT][0] : -1, .events = POLLIN},
		                       {.fd = open[ERR] ? pipes[ERR][0] : -1, .events = POLLIN}};
		poll(fds, 2, POLL_MS);
		if (fds[0].revents)
			open[OUT] = take(p, pipes[OUT][0], &out, take_fact);
		if (fds[1].revents)
			open[ERR] = take(p, pipes[ERR][0], &err, take_complaint);
		if (open[TO] && json_object_get(p->facts, "device.stays")) {
			if (p->stays)
				p->stays(pid, p->arg);
			close(rein_take_fd(&pipes[TO][1]));
			open[TO] = false;
		}
		if (interrupted)
			return -EINTR;
		if (rein_now_ns() > until)
			return -ETIMEDOUT;
	}
	return 0;
}

int rein_cli_probe_run(struct rein_cli_probe *p)
{
	int pipes[PIPES][2] = {{-1, -1}, {-1, -1}, {-1, -1}}, err = 0, status = -1;
	pid_t parent = getpid(), pid = -1;
	p->why[0] = 0;
	for (unsigned i = 0; i < PIPES && !err; i++)
		err = pipe2(pipes[i], O_CLOEXEC) < 0 ? -errno : 0;
	if (!err && (pid = fork()) < 0)
		err = -errno;
	if (pid == 0)
		become(p, pipes, parent);
	static const int theirs[PIPES] = {0, 1, 1};
	for (unsigned i = 0; i < PIPES; i++)
		rein_cleanup_close(&pipes[i][theirs[i]]);
	if (pid > 0) {
		setpgid(pid, pid); /* whoever of us is first */
		err = listen_to(p, pid, pipes);
		status = err ? -1 : reap(pid, rein_now_ns() + GRACE_NS);
		if (status < 0) {
			kill(-pid, SIGTERM);
			(void)reap(pid, rein_now_ns() + GRACE_NS);
			err = err ? err : -ETIMEDOUT;
		}
		kill(-pid, SIGKILL); /* children that it left */
		if (status < 0)
			(void)reap(pid, rein_now_ns() + REIN_S);
	}
	for (unsigned i = 0; i < PIPES; i++)
		rein_cleanup_close(&pipes[i][!theirs[i]]);
	return err ? err : status;
}

/* ---------------------------------------------------------------- facts */

static const json_t *fact(const json_t *facts, const char *key, const char *fmt, va_list ap)
{
	char id[128];
	vsnprintf(id, sizeof(id), fmt, ap);
	return json_object_get(json_object_get(facts, id), key);
}

double rein_cli_fact(const json_t *facts, const char *key, const char *id_fmt, ...)
{
	va_list ap;
	va_start(ap, id_fmt);
	const json_t *v = fact(facts, key, id_fmt, ap);
	va_end(ap);
	return json_is_number(v) ? json_number_value(v) : NAN;
}

bool rein_cli_fact_true(const json_t *facts, const char *id_fmt, ...)
{
	va_list ap;
	va_start(ap, id_fmt);
	const json_t *v = fact(facts, "value", id_fmt, ap);
	va_end(ap);
	return json_is_true(v);
}

const char *rein_cli_fact_text(const json_t *facts, const char *id)
{
	const char *text = json_string_value(json_object_get(json_object_get(facts, id), "value"));
	return text ? text : "";
}
