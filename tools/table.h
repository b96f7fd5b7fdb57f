// SPDX-License-Identifier: Apache-2.0
/*
 * table.h: text in aligned columns. Cells are short (a name at most) and printable ASCII; numbers
 * are right-aligned. Used by one thread; freed with rein_cli_table_free().
 */
#ifndef REIN_TOOLS_TABLE_H
#define REIN_TOOLS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "../common/util.h"

#define CLI_CELL_LEN 80
#define CLI_COLUMNS_MAX 16

struct rein_cli_column {
	const char *title;
	bool right;
};

struct rein_cli_table {
	const struct rein_cli_column *column;
	unsigned n_columns;
	char (*cell)[CLI_CELL_LEN]; /* row-major */
	size_t n_cells, room;
	unsigned width[CLI_COLUMNS_MAX];
	bool hidden[CLI_COLUMNS_MAX];
};

void rein_cli_table_init(struct rein_cli_table *t, const struct rein_cli_column *column,
                         unsigned n_columns);
void rein_cli_table_free(struct rein_cli_table *t);
/* The next cell, left to right, row by row. false: out of memory, nothing was added. */
bool rein_cli_table_add(struct rein_cli_table *t, const char *fmt, ...) REIN_PRINTF(2, 3);
/* Hides one column of the list after the other until a line fits into so many characters. */
void rein_cli_table_fit(struct rein_cli_table *t, unsigned room, const unsigned *column, size_t n);
size_t rein_cli_table_rows(const struct rein_cli_table *t);
/* One line without its newline: row 0 is the titles, then the rows from 1. */
void rein_cli_table_line(const struct rein_cli_table *t, size_t row, char *line, size_t len);

#endif
