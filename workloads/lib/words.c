// SPDX-License-Identifier: Apache-2.0
/* words.c: see words.h. */
#include "words.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

void wl_words_clear(struct wl_words *w)
{
	w->n = w->made = 0;
	w->list[0] = NULL;
}

void wl_words_add(struct wl_words *w, const char *word, const char *next)
{
	assert(w->n < WL_WORDS);
	w->list[w->n++] = (char *)word;
	w->list[w->n] = NULL;
	if (next)
		wl_words_add(w, next, NULL);
}

void wl_words_print(struct wl_words *w, const char *fmt, ...)
{
	va_list ap;
	assert(w->made < WL_WORDS_MADE);
	va_start(ap, fmt);
	vsnprintf(w->text[w->made], PATH_MAX, fmt, ap);
	va_end(ap);
	wl_words_add(w, w->text[w->made++], NULL);
}
