// SPDX-License-Identifier: Apache-2.0
/* clients.h: the daemon's clients as rows of a table, for `rein ps` and `rein top`. */
#ifndef REIN_TOOLS_CLIENTS_H
#define REIN_TOOLS_CLIENTS_H

#include "cli.h"
#include "table.h"

enum rein_cli_order { CLI_BY_PRIO, CLI_BY_SHARE, CLI_BY_WAIT, CLI_N_ORDERS };

#define CLI_STATE_COLUMN 4 /* of the table below */

/* Fills an uninitialised table with the clients of an answer to the op `clients`. */
void rein_cli_clients_table(const json_t *answer, enum rein_cli_order order,
                            struct rein_cli_table *t);
/* Leaves out what is least wanted until a line fits into so many characters. */
void rein_cli_clients_fit(struct rein_cli_table *t, unsigned room);
/* Prints it, or a line that says that there are none. */
void rein_cli_clients_print(const struct rein_cli_table *t);

#endif
