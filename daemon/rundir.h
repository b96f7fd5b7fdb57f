// SPDX-License-Identifier: Apache-2.0
/*
 * rundir.h: the run directory: one daemon serves it at a time. A lock on the pidfile says who:
 * it ends with the process, however that ends, so whatever a dead daemon left is replaced.
 */
#ifndef REIN_RUNDIR_H
#define REIN_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>

#include "../common/util.h"

/* Makes the directory if needed and takes the lock: the descriptor that holds it, or -errno with
 * one line in err. -EBUSY: another daemon serves it. */
REIN_MUST_CHECK int rein_rundir_lock(const char *dir, char *err, size_t err_len);
/* Removes sockets and pidfile, while the lock is still held. */
void rein_rundir_clean(const char *dir);

#endif
