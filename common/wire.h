// SPDX-License-Identifier: Apache-2.0
/*
 * wire.h: the messages between a process and the daemon, and where its two sockets are.
 *
 * Both sockets are AF_UNIX SOCK_SEQPACKET under the run directory:
 *
 *   client.sock   0666; librein.so says HELLO, gets WELCOME with four descriptors. Identity is
 *                 SO_PEERCRED. The connection then stays open and silent: its hang-up, or the
 *                 process' death (pidfd), ends the client.
 *   control.sock  0660 root:rein; the `rein` command. One JSON object per packet each way
 *                 (docs/control.md), at most REIN_CONTROL_MAX bytes.
 *
 * The run directory: $REIN_RUN_DIR, else /run/rein for root and for everybody while the machine's
 * daemon has its socket there, else $XDG_RUNTIME_DIR/rein, else /tmp/rein-<uid>.
 */
#ifndef REIN_COMMON_WIRE_H
#define REIN_COMMON_WIRE_H

#include <stdint.h>

#include "abi.h"

#define REIN_CLIENT_SOCKET "client.sock"
#define REIN_CONTROL_SOCKET "control.sock"
#define REIN_PIDFILE "reind.pid"
#define REIN_CONTROL_MAX (192 * 1024)

enum rein_msg_type {
	REIN_MSG_HELLO = 1,
	REIN_MSG_WELCOME = 2,
};

struct rein_msg_header {
	uint32_t magic; /* REIN_ABI_MAGIC */
	uint16_t type;  /* enum rein_msg_type */
	uint16_t reserved;
	uint32_t size; /* of the whole message */
	uint16_t abi_major, abi_minor;
};

#define REIN_HELLO_CHECK 1u /* answer only: would this be granted? No client is made, no fds. */
#define REIN_PRIO_UNSET (-1)

struct rein_msg_hello {
	struct rein_msg_header header;
	uint32_t flags;           /* REIN_HELLO_* */
	int32_t prio;             /* asked for: 0…REIN_PRIO_MAX, or REIN_PRIO_UNSET: the class' */
	char name[REIN_NAME_LEN]; /* "" = the executable's name */
	char class_name[REIN_CLASS_LEN]; /* "" = by the rules */
};

enum rein_welcome_fd {
	REIN_FD_BOARD,
	REIN_FD_CONTROL,
	REIN_FD_STATUS,
	REIN_FD_DOORBELL,
	REIN_FD_N
};

struct rein_msg_welcome {
	struct rein_msg_header header;
	int32_t error; /* 0, or a positive errno: refused, `text` says why, no fds follow */
	uint32_t client_id;
	int32_t prio; /* granted; lower than asked when the caller lacks the right */
	uint32_t reserved;
	char class_name[REIN_CLASS_LEN];
	char text[160]; /* "" or one line for the user */
};

static_assert(sizeof(struct rein_msg_header) == 16, "ABI");
static_assert(sizeof(struct rein_msg_hello) == 24 + REIN_NAME_LEN + REIN_CLASS_LEN, "ABI");
static_assert(sizeof(struct rein_msg_welcome) == 32 + REIN_CLASS_LEN + 160, "ABI");

#endif
