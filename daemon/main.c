// SPDX-License-Identifier: Apache-2.0
/*
 * main.c: reind starts here: the command line, the background, and a worker's life.
 *
 * In the background the parent waits on a pipe until the child listens or has failed, so that
 * whoever started it can connect as soon as it returns, and sees the error on the same terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "../common/env.h"
#include "../common/log.h"
#include "../common/version.h"
#include "notify.h"
#include "server.h"
#include "supervise.h"

#define EXIT_RUNTIME 1

/* The child goes on with the pipe's end to report to; the parent ends here. */
static int daemonise(void)
{
	int pipe_fd[2];
	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close(pipe_fd[0]);
		setsid();
		return pipe_fd[1];
	}
	close(pipe_fd[1]);
	char status = EXIT_RUNTIME;
	ssize_t n;
	do
		n = read(pipe_fd[0], &status, 1);
	while (n < 0 && errno == EINTR);
	int child;
	if (n != 1) /* it died without a word */
		waitpid(pid, &child, 0);
	_exit(n == 1 ? status : EXIT_RUNTIME);
}

/* From the terminal to a log file in the run directory, a new one for a new daemon. */
static int detach_output(const struct rein_options *o, int fresh)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/reind.log", o->run_dir);
	REIN_AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	REIN_AUTO_CLOSE int log =
	    open(path, O_WRONLY | O_CREAT | fresh | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(log < 0 ? null : log, 2) < 0)
		return -errno;
	return 0;
}

/* In the worker. */
static int work(const struct rein_options *o, int ready_fd)
{
	static struct rein_server server;
	char err[REIN_CONFIG_ERROR_LEN];
	bool first = rein_supervise_starts() == 1;
	if (rein_server_start(&server, o, err, sizeof(err))) {
		rein_error("%s", err);
		return EXIT_RUNTIME; /* the pipe's end closes: the supervisor knows */
	}
	if (o->background && first && detach_output(o, O_TRUNC))
		rein_warn("the output stays on the terminal");
	rein_info("version=%s run_dir=%s policy=%s mode=%s config_files=%u", REIN_VERSION,
	          o->run_dir, server.policy->name, rein_mode_name(rein_loop_mode(server.loop)),
	          server.config->n_files);
	rein_notify("READY=1");
	if (write(ready_fd, "", 1) != 1)
		rein_debug("nobody waits for the start");
	close(ready_fd);
	rein_server_run(&server);
	rein_notify("STOPPING=1");
	rein_server_stop(&server);
	return 0;
}

/* In the supervisor, when the first worker serves: whoever started us may go on. */
static void ready(const struct rein_options *o, void *arg)
{
	const int *report_fd = arg;
	if (*report_fd < 0)
		return;
	if (detach_output(o, 0))
		rein_warn("the output stays on the terminal");
	if (write(*report_fd, "", 1) != 1)
		rein_debug("nobody waits for the start");
	close(*report_fd);
}

int main(int argc, char **argv)
{
	static struct rein_options options;
	int status, report_fd = -1;

	if (rein_options_parse(&options, argc, argv, &status))
		return status;
	rein_log_init("reind", REIN_LOG_INFO,
	              !options.background && rein_env(REIN_ENV_JOURNAL_STREAM));
	if (options.background) {
		report_fd = daemonise();
		if (report_fd < 0) {
			rein_error("cannot go to the background: %s", strerror(-report_fd));
			return EXIT_RUNTIME;
		}
	}
	return rein_supervise(&options, work, ready, &report_fd);
}
