// SPDX-License-Identifier: Apache-2.0
/* ask.c: one question to the daemon's control socket, one answer (docs/control.md). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#include "../common/clock.h"
#include "../common/sock.h"
#include "../common/wire.h"

#define ANSWER_TIMEOUT_MS 5000

/* A full backlog of a busy daemon is worth a short wait; everything else is final. */
static int connect_patiently(const char *dir, const char *file)
{
	uint64_t until = rein_now_ns() + REIN_S;
	int fd;
	while ((fd = rein_sock_connect(dir, file)) == -EAGAIN && rein_now_ns() < until)
		usleep(2000);
	return fd;
}

int rein_cli_probe(const struct rein_cli *cli, const char *socket_file)
{
	int fd = connect_patiently(cli->run_dir, socket_file);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int fail_connect(const struct rein_cli *cli, int err)
{
	if (rein_cli_is_nobody(err))
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "no daemon answers at %s/%s; start one with `reind --background` or "
		    "`rein run`",
		    cli->run_dir, REIN_CONTROL_SOCKET);
	if (err == -EACCES || err == -EPERM)
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "cannot open %s/%s; permission denied; run as root or as a member of the "
		    "`rein` group",
		    cli->run_dir, REIN_CONTROL_SOCKET);
	return rein_cli_fail(cli, CLI_FAILED, "cannot connect to %s/%s; %s; check REIN_RUN_DIR",
	                     cli->run_dir, REIN_CONTROL_SOCKET, strerror(-err));
}

static int exchange(const struct rein_cli *cli, const char *text, char *buf, size_t len)
{
	REIN_AUTO_CLOSE int fd = connect_patiently(cli->run_dir, REIN_CONTROL_SOCKET);
	if (fd < 0)
		return fail_connect(cli, fd);
	ssize_t n = rein_sock_send(fd, text, strlen(text), NULL, 0);
	if (n == 0)
		n = rein_sock_recv(fd, buf, len - 1, NULL, NULL, ANSWER_TIMEOUT_MS);
	if (n == 0)
		n = -ECONNRESET;
	if (n < 0)
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "the daemon at %s/%s gave no answer; %s; look at its log, or restart it",
		    cli->run_dir, REIN_CONTROL_SOCKET, strerror((int)-n));
	buf[n] = 0;
	return 0;
}

int rein_cli_ask(const struct rein_cli *cli, json_t *request, json_t **answer)
{
	*answer = NULL;
	REIN_AUTO_FREE char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	REIN_AUTO_FREE char *buf = malloc(REIN_CONTROL_MAX + 1);
	json_decref(request);
	if (!text || !buf)
		return rein_cli_fail(cli, CLI_FAILED,
		                     "cannot ask the daemon; out of memory, or the text is "
		                     "not UTF-8; check the arguments");
	int status = exchange(cli, text, buf, REIN_CONTROL_MAX + 1);
	if (status)
		return status;
	json_t *a = json_loads(buf, 0, NULL);
	if (!json_is_object(a)) {
		json_decref(a);
		return rein_cli_fail(
		    cli, CLI_FAILED,
		    "the daemon at %s/%s answered with something that is not a JSON object; "
		    "rein and reind should be of the same version",
		    cli->run_dir, REIN_CONTROL_SOCKET);
	}
	if (!json_is_true(json_object_get(a, "ok"))) {
		char clean[512];
		const char *why = rein_cli_str(a, "error");
		rein_cli_clean(*why ? why : "it gave no reason", clean, sizeof(clean));
		json_decref(a);
		return rein_cli_fail(cli, CLI_FAILED, "%s: the daemon refused; %s",
		                     cli->command->name, clean);
	}
	*answer = a;
	return 0;
}
