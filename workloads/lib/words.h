// SPDX-License-Identifier: Apache-2.0
/* words.h: a short list of words for a child: its arguments, or its environment. */
#ifndef WORKLOADS_LIB_WORDS_H
#define WORKLOADS_LIB_WORDS_H

#include <limits.h>
#include <stddef.h>

#define WL_WORDS 48
#define WL_WORDS_MADE 16

struct wl_words {
	char *list[WL_WORDS + 1];           /* ends with NULL */
	char text[WL_WORDS_MADE][PATH_MAX]; /* those that were made here */
	size_t n, made;
};

/* Too many words are a programmer's error and end the program. */
void wl_words_clear(struct wl_words *w);
/* A word that outlives the list, such as a literal; then another, unless it is NULL. */
void wl_words_add(struct wl_words *w, const char *word, const char *next);
void wl_words_print(struct wl_words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
