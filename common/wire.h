// SPDX-License-Identifier: Apache-2.0
/*
 * wire.h: the messages between a process and the daemon, and where its two sockets are.
 *
 * Both sockets are AF_UNIX SOCK_SEQPACKET under the run directory:
 *
 *   client.sock   0666; librein.so says HELLO, gets WELCOME with four to six descriptors.
 *                 Identity is SO_PEERCRED. The connection then stays open and silent: its
 *                 hang-up, or the process' death (pidfd), ends the client.
 *
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
#include "timing.h"

#define REIN_CLIENT_SOCKET "client.sock"
#define REIN_CONTROL_SOCKET "control.sock"
#define REIN_PIDFILE "reind.pid"
#define REIN_CONTROL_MAX (192 * 1024)

/*
 * Messages grow at their end. Whoever sends HELLO sends all of the message it knows; the daemon
 * takes what it knows of that, and for what an older peer did not send the values that mean "not
 * asked for". It answers with as much of WELCOME as the minor in HELLO's header knew.
 */
#define REIN_HELLO_SIZE_1 120 /* minor 1 */
#define REIN_HELLO_SIZE_2 472 /* minor 2 */
#define REIN_WELCOME_SIZE_1 224
#define REIN_HELLO_MAX 1024 /* of any later minor */
#define REIN_EXE_LEN 256

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

	/* since minor 2 */
	struct rein_timing timing; /* all 0: not asked for */
	uint32_t weight;           /* 0: the class' */
	int32_t latency_nice;      /* REIN_NICE_UNSET: the class' */
	char job[REIN_NAME_LEN];   /* clients of one user with one job run together; "" = none */
	/* with REIN_HELLO_CHECK: the executable that is about to ask, for the rules of rein.conf.
	 * It buys an answer only; whoever joins is looked up. "" = who asks */
	char exe[REIN_EXE_LEN];

	/* since minor 4 */
	uint32_t sms; /* as in sms.h; 0: the class' */
	uint32_t reserved;
};

enum rein_welcome_fd {
	REIN_FD_BOARD,
	REIN_FD_CONTROL,
	REIN_FD_STATUS,
	REIN_FD_DOORBELL,
	REIN_FD_N,
	/* The rings (ring.h): sent only to a client whose HELLO says REIN_ABI_MINOR_RINGS or more,
	 * and not if they could not be made. Whoever has none records nothing. */
	REIN_FD_RINGS = REIN_FD_N,
	/* The points (abi.h): the same with REIN_ABI_MINOR_POINTS, and only after the rings.
	 * Whoever has none is held at the launch gate. */
	REIN_FD_POINTS,
	REIN_FD_MAX
};

/* What became of a reservation that was asked for, or that the class has. */
enum rein_promise {
	REIN_PROMISE_UNASKED,
	REIN_PROMISE_GIVEN,
	REIN_PROMISE_NONE,  /* its timing counts, but nothing is promised now: the text says why */
	REIN_PROMISE_LATER, /* refused as asked for; `timing.deadline_ns` could be kept */
	REIN_PROMISE_REFUSED, /* its timing does not count; the text says why */
};

struct rein_msg_welcome {
	struct rein_msg_header header;
	int32_t error; /* 0, or a positive errno: refused, `text` says why, no fds follow */
	uint32_t client_id;
	int32_t prio; /* granted; lower than asked when the caller lacks the right */
	uint32_t reserved;
	char class_name[REIN_CLASS_LEN];
	char text[160]; /* "" or one line for the user */

	/* since minor 2 */
	uint32_t promise; /* enum rein_promise */
	uint32_t reserved1;
	struct rein_timing timing; /* in effect; LATER: with the earliest deadline */
	uint64_t response_ns;   /* what is promised: the longest from arrival to end; 0: nothing */
	char promise_text[256]; /* "" or one line for the user */
};

static_assert(sizeof(struct rein_msg_header) == 16, "ABI");
static_assert(offsetof(struct rein_msg_hello, timing) == REIN_HELLO_SIZE_1, "ABI");
static_assert(offsetof(struct rein_msg_hello, sms) == REIN_HELLO_SIZE_2, "ABI");
static_assert(sizeof(struct rein_msg_hello) == REIN_HELLO_SIZE_2 + 8, "ABI");
static_assert(offsetof(struct rein_msg_welcome, promise) == REIN_WELCOME_SIZE_1, "ABI");
static_assert(sizeof(struct rein_msg_welcome) == REIN_WELCOME_SIZE_1 + 40 + 256, "ABI");

#endif
