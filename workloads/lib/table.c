// SPDX-License-Identifier: Apache-2.0
/* table.c: see table.h. */
#include "table.h"

#include <stdarg.h>
#include <string.h>

size_t wl_text_width(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80; /* not a continuation byte */
	return n;
}

const char *wl_cell(const char *fmt, ...)
{
	static char ring[16][WL_TABLE_CELL];
	static unsigned next;
	char *buf = ring[next++ % 16];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(buf, WL_TABLE_CELL, fmt, ap);
	va_end(ap);
	return buf;
}

void wl_table_row(struct wl_table *t, ...)
{
	va_list ap;
	if (t->rows == WL_TABLE_ROWS)
		return;
	va_start(ap, t);
	for (size_t i = 0; i < t->columns; i++)
		snprintf(t->cell[t->rows][i], WL_TABLE_CELL, "%s", va_arg(ap, const char *));
	va_end(ap);
	t->rows++;
}

static size_t column_width(const struct wl_table *t, size_t column)
{
	size_t widest = 0;
	for (size_t r = 0; r < t->rows; r++) {
		size_t w = wl_text_width(t->cell[r][column]);
		widest = w > widest ? w : widest;
	}
	return widest;
}

static void pad(FILE *f, const char *fill, size_t n)
{
	while (n--)
		fputs(fill, f);
}

static void print_row(const struct wl_table *t, size_t row, FILE *f, const char *between)
{
	for (size_t c = 0; c < t->columns; c++) {
		const char *text = t->cell[row][c];
		size_t space = column_width(t, c) - wl_text_width(text);
		fputs(c ? between : "", f);
		if (c)
			pad(f, " ", space);
		fputs(text, f);
		if (!c)
			pad(f, " ", space);
	}
}

void wl_table_print(const struct wl_table *t, FILE *f)
{
	for (size_t r = 0; r < t->rows; r++) {
		print_row(t, r, f, "   ");
		fputc('\n', f);
		if (r)
			continue;
		for (size_t c = 0; c < t->columns; c++) {
			fputs(c ? "   " : "", f);
			pad(f, "─", column_width(t, c));
		}
		fputc('\n', f);
	}
}

void wl_table_markdown(const struct wl_table *t, FILE *f)
{
	for (size_t r = 0; r < t->rows; r++) {
		fputs("| ", f);
		print_row(t, r, f, " | ");
		fputs(" |\n", f);
		if (r)
			continue;
		for (size_t c = 0; c < t->columns; c++) {
			fputs(c ? "-" : "|-", f);
			pad(f, "-", column_width(t, c));
			fputs(c ? ":|" : "-|", f);
		}
		fputc('\n', f);
	}
}
