// SPDX-License-Identifier: Apache-2.0
/*
 * ldcache.h: the loader's cache, /etc/ld.so.cache: which files ldconfig found for a soname. Read
 * without trust: a damaged file is an empty one.
 */
#ifndef REIN_STANDIN_LDCACHE_H
#define REIN_STANDIN_LDCACHE_H

#include <stdbool.h>

#define REIN_LDCACHE "/etc/ld.so.cache"

/* Calls take(arg, path) for each file of that soname, in the cache's order, until one is taken. */
bool rein_ldcache_find(const char *cache, const char *soname,
                       bool (*take)(void *arg, const char *path), void *arg);

#endif
