// SPDX-License-Identifier: Apache-2.0
/*
 * start.h: what `rein run` needs of a daemon: asking whether it would grant a priority, starting
 * one, and taking back a start that turned out to be for nothing.
 */
#ifndef REIN_TOOLS_START_H
#define REIN_TOOLS_START_H

#include <limits.h>

#include "cli.h"

#include "../common/wire.h"

/*
 * Asks, through client.sock as the program itself will, what it would be granted: the wishes in
 * *hello, whose header and flags are filled in. Makes no client. Asks again, for a quarter of a
 * second, whoever hangs up.
 * 0: *granted is the answer, which may be a refusal (its `error`); rein_cli_is_nobody(): no
 * daemon; -EPROTO: something else answers; or another -errno.
 */
REIN_MUST_CHECK int rein_cli_ask_grant(const struct rein_cli *cli, struct rein_msg_hello *hello,
                                       struct rein_msg_welcome *granted);

/* Starts `daemon` (a path) in the background and waits until it listens. 0, or the exit status
 * after the failure has been reported. That another one was quicker is a success. */
REIN_MUST_CHECK int rein_cli_start_daemon(const struct rein_cli *cli, const char *daemon);

/* Ends the daemon that we started, unless somebody uses it by now. */
void rein_cli_undo_start(const struct rein_cli *cli);

#endif
