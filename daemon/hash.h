// SPDX-License-Identifier: Apache-2.0
/* hash.h: uthash and utlist as this daemon uses them: running out of memory is an error, not an
 * exit. After HASH_ADD the element's hh.tbl is NULL if there was no memory. Where uthash is not
 * installed (or REIN_NO_UTHASH asks for it), lists of our own take its place. */
#ifndef REIN_HASH_H
#define REIN_HASH_H

#if defined(REIN_NO_UTHASH) || !__has_include(<uthash.h>)
#include "hash_list.h"
#else
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(elt) ((elt)->hh.tbl = NULL)
#include <uthash.h>
#include <utlist.h>
#endif

#endif
