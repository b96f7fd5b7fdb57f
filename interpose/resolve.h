// SPDX-License-Identifier: Apache-2.0
/*
 * resolve.h: what the two libraries have in common in finding the driver's functions. Where the
 * driver is differs: preload.c knows for librein.so, standin/ for the libcuda.so.1 that takes the
 * driver's place. resolve.c asks whichever is linked beside it.
 */
#ifndef REIN_RESOLVE_H
#define REIN_RESOLVE_H

#include "shim.h"

/*
 * The driver's functions (NULL: it has none of that name), and where it is loaded. `hint`: an
 * address in it, or NULL. The driver stays loaded for ever, so that it outlives a dlclose() of the
 * application. false: there is none, said once on stderr. Called by any thread, by several at once
 * and with the loader's lock held; takes no lock of ours; may change errno and dlerror().
 */
bool rein_driver_find(const void *hint, void *found[REIN_E_COUNT], uintptr_t *base);

/* As rein_resolve(), by a thread that was given an address in what looks like the driver. */
bool rein_resolve_near(const void *hint);
/* Load address of the object that `real` comes from; 0 before. */
uintptr_t rein_resolve_base(void);

/* The symbol that a later stand-in, and librein.so, know a stand-in by. */
#define REIN_STANDIN_MARK "rein_standin"

/*
 * Somebody wants to declare requests, perhaps before the first use of CUDA. In librein.so: if the
 * driver that is loaded by now is a stand-in, requests are passed on to that (request.h), as
 * rein_driver_find() does with all else. Loads nothing.
 */
void rein_driver_meet(void);

#endif
