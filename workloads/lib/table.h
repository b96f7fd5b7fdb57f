// SPDX-License-Identifier: Apache-2.0
/* table.h: small tables of text, for terminals (aligned columns) and Markdown. */
#ifndef WORKLOADS_LIB_TABLE_H
#define WORKLOADS_LIB_TABLE_H

#include <stddef.h>
#include <stdio.h>

#define WL_TABLE_COLUMNS 8
#define WL_TABLE_ROWS 32
#define WL_TABLE_CELL 64

struct wl_table {
	size_t columns, rows; /* row 0 is the heading */
	char cell[WL_TABLE_ROWS][WL_TABLE_COLUMNS][WL_TABLE_CELL];
};

/* Appends a row of t->columns cells: strings, one a column. */
void wl_table_row(struct wl_table *t, ...);
/* The first column to the left, the others to the right. */
void wl_table_print(const struct wl_table *t, FILE *f);
void wl_table_markdown(const struct wl_table *t, FILE *f);
/* printf into one of 16 rotating buffers: for the cells of a row */
const char *wl_cell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* How many columns of a terminal UTF-8 text takes (no wide or combining characters). */
size_t wl_text_width(const char *text);

#endif
