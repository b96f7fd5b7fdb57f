// SPDX-License-Identifier: Apache-2.0
/*
 * wish.h: what `rein run` asks for the program. Each wish is an option and an environment variable
 * that librein.so reads: the environment is what the program would be run with, options go before
 * it, and what is granted is exported to the program again. One row a wish, in wish.c.
 */
#ifndef REIN_TOOLS_WISH_H
#define REIN_TOOLS_WISH_H

#include "cli.h"

#include "../common/wire.h"

#define CLI_WISHES_MAX 16

struct rein_cli_wish {
	struct rein_msg_hello hello; /* as the daemon will be asked */
	bool accept_later;
	bool by_option[CLI_WISHES_MAX];
	const char *text[CLI_WISHES_MAX]; /* NULL: not wished */
	char deadline[32];                /* that of the daemon, taken for the program's */
};

/* Getopt's `val` of the row i is CLI_WISH_VAL + i, in the order of these options. */
#define CLI_WISH_VAL 1000
#define CLI_WISH_OPTIONS                                                                           \
	{"prio", required_argument, NULL, CLI_WISH_VAL},                                           \
	    {"class", required_argument, NULL, CLI_WISH_VAL + 1},                                  \
	    {"name", required_argument, NULL, CLI_WISH_VAL + 2},                                   \
	    {"deadline", required_argument, NULL, CLI_WISH_VAL + 3},                               \
	    {"period", required_argument, NULL, CLI_WISH_VAL + 4},                                 \
	    {"budget", required_argument, NULL, CLI_WISH_VAL + 5},                                 \
	    {"weight", required_argument, NULL, CLI_WISH_VAL + 6},                                 \
	    {"latency-nice", required_argument, NULL, CLI_WISH_VAL + 7},                           \
	    {"job", required_argument, NULL, CLI_WISH_VAL + 8},                                    \
	    {"sms", required_argument, NULL, CLI_WISH_VAL + 9},                                    \
	{                                                                                          \
		"accept-later", no_argument, NULL, CLI_WISH_VAL + CLI_WISHES_MAX                   \
	}

/* From the environment. */
void rein_cli_wish_init(struct rein_cli_wish *w);
/* Takes an option; false: it is none of the wishes. */
bool rein_cli_wish_option(struct rein_cli_wish *w, int opt, const char *value);
/* All of it into w->hello. false: a mistake, which has been reported. */
bool rein_cli_wish_finish(const struct rein_cli *cli, struct rein_cli_wish *w);
/* It is not wished for after all. */
void rein_cli_wish_drop(struct rein_cli_wish *w, int env);
/* Into the environment. 0 or -1. */
REIN_MUST_CHECK int rein_cli_wish_export(const struct rein_cli_wish *w);

/* What the daemon says about the reservation. 0: go on, 1: ask again, with the later deadline; or
 * the exit status of a failure that has been reported. */
REIN_MUST_CHECK int rein_cli_wish_answer(const struct rein_cli *cli, struct rein_cli_wish *w,
                                         const struct rein_msg_welcome *granted);
/* The same as one line for people ("" if none was asked for), and as an object or null. */
void rein_cli_promise_text(const struct rein_msg_welcome *granted, char *line, size_t len);
json_t *rein_cli_promise_json(const struct rein_msg_welcome *granted);

/* "20ms" into ns; a bad one has been reported as `what`. 0 is accepted if `zero`. */
bool rein_cli_time(const struct rein_cli *cli, const char *what, const char *text, bool zero,
                   uint64_t *out_ns);

#endif
