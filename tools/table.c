// SPDX-License-Identifier: Apache-2.0
#include "table.h"

#include <stdarg.h>
#include <string.h>

void rein_cli_table_init(struct rein_cli_table *t, const struct rein_cli_column *column,
                         unsigned n_columns)
{
	*t = (struct rein_cli_table){.column = column, .n_columns = n_columns};
	for (unsigned i = 0; i < n_columns; i++)
		t->width[i] = (unsigned)strlen(column[i].title);
}

void rein_cli_table_free(struct rein_cli_table *t)
{
	free(t->cell);
	t->cell = NULL;
	t->n_cells = t->room = 0;
}

bool rein_cli_table_add(struct rein_cli_table *t, const char *fmt, ...)
{
	if (t->n_cells == t->room) {
		size_t room = t->room ? 2 * t->room : 16 * t->n_columns;
		void *grown = realloc(t->cell, room * sizeof(t->cell[0]));
		if (!grown)
			return false;
		t->cell = grown;
		t->room = room;
	}
	char *cell = t->cell[t->n_cells];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(cell, CLI_CELL_LEN, fmt, ap);
	va_end(ap);
	unsigned *width = &t->width[t->n_cells++ % t->n_columns];
	if (strlen(cell) > *width)
		*width = (unsigned)strlen(cell);
	return true;
}

static unsigned line_width(const struct rein_cli_table *t)
{
	unsigned width = 0;
	for (unsigned i = 0; i < t->n_columns; i++)
		if (!t->hidden[i])
			width += t->width[i] + (width ? 2 : 0);
	return width;
}

void rein_cli_table_fit(struct rein_cli_table *t, unsigned room, const unsigned *column, size_t n)
{
	for (size_t i = 0; i < n && line_width(t) > room; i++)
		t->hidden[column[i]] = true;
}

size_t rein_cli_table_rows(const struct rein_cli_table *t)
{
	return t->n_cells / t->n_columns;
}

void rein_cli_table_line(const struct rein_cli_table *t, size_t row, char *line, size_t len)
{
	size_t n = 0;
	unsigned end = t->n_columns;
	line[0] = 0;
	while (end && t->hidden[end - 1])
		end--;
	for (unsigned i = 0; i < end; i++) {
		if (t->hidden[i])
			continue;
		const char *text = row ? t->cell[(row - 1) * t->n_columns + i] : t->column[i].title;
		bool last = i + 1 == end;
		int width = (int)t->width[i];
		/* a left-aligned last column needs no padding */
		int got = snprintf(line + n, len - n, "%*s%s",
		                   t->column[i].right ? width
		                   : last             ? 0
		                                      : -width,
		                   text, last ? "" : "  ");
		if (got < 0 || n + (size_t)got >= len)
			return;
		n += (size_t)got;
	}
}
