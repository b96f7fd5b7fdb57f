// SPDX-License-Identifier: Apache-2.0
/* config_int.h: between config.c and whichever of confread.c and confread_none.c is built. */
#ifndef REIN_CONFIG_INT_H
#define REIN_CONFIG_INT_H

#include "config.h"

/* The class of that name, made with the default settings if there is none; NULL: out of memory. */
struct rein_class *rein_config_class_get(struct rein_config *c, const char *name);
/* Adds one file's classes, rules and settings; errors as rein_config_load(). */
REIN_MUST_CHECK int rein_config_read_file(struct rein_config *c, const char *path, char *err,
                                          size_t err_len);

#endif
