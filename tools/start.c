// SPDX-License-Identifier: Apache-2.0
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/sock.h"

#define ANSWER_TIMEOUT_MS 3000
#define HANG_UPS 5
#define HANG_UP_US 50000
#define LISTEN_TIMEOUT_NS (3 * REIN_S)
#define START_TIMEOUT_NS (15 * REIN_S)

/* A daemon of an older minor sends less. */
static bool is_welcome(const struct rein_msg_welcome *w, ssize_t n)
{
	return n >= REIN_WELCOME_SIZE_1 && w->header.magic == REIN_ABI_MAGIC &&
	       w->header.type == REIN_MSG_WELCOME && w->header.size == (size_t)n;
}

static int ask_once(const struct rein_cli *cli, struct rein_msg_hello *hello,
                    struct rein_msg_welcome *granted)
{
	hello->header = (struct rein_msg_header){.magic = REIN_ABI_MAGIC,
	                                         .type = REIN_MSG_HELLO,
	                                         .size = sizeof(*hello),
	                                         .abi_major = REIN_ABI_MAJOR,
	                                         .abi_minor = REIN_ABI_MINOR};
	hello->flags = REIN_HELLO_CHECK;
	memset(granted, 0, sizeof(*granted));
	REIN_AUTO_CLOSE int fd = rein_sock_connect(cli->run_dir, REIN_CLIENT_SOCKET);
	if (fd < 0)
		return fd;
	int err = rein_sock_send(fd, hello, sizeof(*hello), NULL, 0);
	if (err)
		return err;
	ssize_t n = rein_sock_recv(fd, granted, sizeof(*granted), NULL, NULL, ANSWER_TIMEOUT_MS);
	if (n <= 0)
		return n ? (int)n : -ECONNRESET;
	if (!is_welcome(granted, n))
		return -EPROTO;
	granted->class_name[sizeof(granted->class_name) - 1] = 0;
	granted->text[sizeof(granted->text) - 1] = 0;
	granted->promise_text[sizeof(granted->promise_text) - 1] = 0;
	return 0;
}

int rein_cli_ask_grant(const struct rein_cli *cli, struct rein_msg_hello *hello,
                       struct rein_msg_welcome *granted)
{
	int err = ask_once(cli, hello, granted);
	/* it ended meanwhile: perhaps a crash, and its supervisor is starting another */
	for (unsigned i = 0; (err == -ECONNRESET || err == -EPIPE) && i < HANG_UPS; i++) {
		usleep(HANG_UP_US);
		err = ask_once(cli, hello, granted);
	}
	return err;
}

static bool listens(const struct rein_cli *cli)
{
	return !rein_cli_is_nobody(rein_cli_probe(cli, REIN_CLIENT_SOCKET));
}

/* The child's stdin and stdout are not ours to lend: whoever reads our stdout would wait for the
 * daemon's end. Its complaints come back through `complaints`. */
static pid_t spawn(const char *daemon, const char *run_dir, int complaints)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(complaints, 2) < 0)
		_exit(CLI_FAILED);
	setenv("REIN_RUN_DIR", run_dir, 1);
	execl(daemon, daemon, "--background", (char *)NULL);
	fprintf(stderr, "%s\n", strerror(errno));
	_exit(CLI_CANNOT);
}

/* Waits for `reind --background` to return; it does so when the daemon listens or has failed. */
static bool wait_started(pid_t pid, int *status)
{
	uint64_t until = rein_now_ns() + START_TIMEOUT_NS;
	while (waitpid(pid, status, WNOHANG) == 0) {
		if (rein_now_ns() > until) {
			kill(pid, SIGKILL);
			waitpid(pid, status, 0);
			return false;
		}
		usleep(1000);
	}
	return true;
}

/*
 * Two `rein run` at once start two daemons; the one that finds the pidfile locked gives up, often
 * before the other listens. So as long as there is a pidfile somebody may still be coming.
 */
static void wait_listening(const struct rein_cli *cli, bool ours)
{
	char pidfile[PATH_MAX];
	uint64_t until = rein_now_ns() + LISTEN_TIMEOUT_NS;
	snprintf(pidfile, sizeof(pidfile), "%s/%s", cli->run_dir, REIN_PIDFILE);
	while (!listens(cli) && (ours || access(pidfile, F_OK) == 0) && rein_now_ns() < until)
		usleep(2000);
}

/* The last line of what the daemon wrote, without its own prefix ("reind[12] error: "). */
static void last_line(int fd, char *line, size_t len)
{
	char buf[4096];
	size_t n = 0;
	ssize_t got;
	while (n + 1 < sizeof(buf) && (got = read(fd, buf + n, sizeof(buf) - 1 - n)) > 0)
		n += (size_t)got;
	while (n && (buf[n - 1] == '\n' || buf[n - 1] == ' '))
		n--;
	buf[n] = 0;
	const char *last = strrchr(buf, '\n');
	const char *text = last ? last + 1 : buf, *mark = strstr(text, "error: ");
	if (mark)
		text = mark + strlen("error: ");
	else if (strncmp(text, "reind: ", 7) == 0)
		text += 7;
	rein_cli_clean(*text ? text : "it gave no reason", line, len);
}

int rein_cli_start_daemon(const struct rein_cli *cli, const char *daemon)
{
	int pipe_fd[2];
	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return rein_cli_fail(cli, CLI_FAILED, "cannot make a pipe; %s; close some files",
		                     strerror(errno));
	REIN_AUTO_CLOSE int complaints = pipe_fd[0];
	pid_t pid = spawn(daemon, cli->run_dir, pipe_fd[1]);
	int err = errno;
	close(pipe_fd[1]);
	if (pid < 0)
		return rein_cli_fail(cli, CLI_FAILED,
		                     "cannot start the daemon; fork: %s; end some processes",
		                     strerror(err));
	int status = 0;
	if (!wait_started(pid, &status))
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "cannot start the daemon; %s did not get ready in %llu s; run it in the "
		    "foreground to see why",
		    daemon, START_TIMEOUT_NS / REIN_S);
	bool ours = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	wait_listening(cli, ours);
	if (listens(cli))
		return 0;
	char why[400];
	fcntl(complaints, F_SETFL, O_NONBLOCK);
	last_line(complaints, why, sizeof(why));
	return rein_cli_fail(
	    cli, CLI_FAILED,
	    "cannot start the daemon %s; %s; correct that, or use --no-start to run unscheduled",
	    daemon, why);
}

void rein_cli_undo_start(const struct rein_cli *cli)
{
	struct rein_cli quiet = *cli;
	CLI_AUTO_JSON json_t *status = NULL;
	CLI_AUTO_JSON json_t *stopped = NULL;
	quiet.json = false;
	if (rein_cli_ask(&quiet, json_pack("{s:s}", "op", "status"), &status) != 0)
		return;
	if (rein_cli_int(status, "clients") != 0)
		return;
	if (rein_cli_ask(&quiet, json_pack("{s:s}", "op", "stop"), &stopped) != 0)
		return;
	char log[sizeof(quiet.run_dir) + 16];
	snprintf(log, sizeof(log), "%s/reind.log", quiet.run_dir);
	unlink(log);
}
