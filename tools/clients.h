// SPDX-License-Identifier: Apache-2.0
/* clients.h: the daemon's clients as rows of the table of `rein ps`. */
#ifndef REIN_TOOLS_CLIENTS_H
#define REIN_TOOLS_CLIENTS_H

#include "cli.h"
#include "table.h"

/* How urgent a client of an answer to the op `clients` is, under the policy in use: priority, and
 * under `classes` its band before that. */
double rein_cli_urgency(const json_t *answer, const json_t *client);
/* Fills an uninitialised table, the most urgent first. */
void rein_cli_clients_table(const json_t *answer, struct rein_cli_table *t);

#endif
