// SPDX-License-Identifier: Apache-2.0
/*
 * helper.h: the helper thread. It finds out that work has completed when no call of the
 * application tells: while the client is active and quiet (nothing begun since the last look, no
 * thread inside a synchronising call for less than 20 ms) it queries the streams that are not idle
 * and looks at the marks. It may block in the driver, records nothing, and lives in
 * CU_STREAM_CAPTURE_MODE_RELAXED; while any capture is under way it asks nothing.
 *
 * It sleeps for good while the client is idle or detached. A client whose requests keep ending in
 * synchronising calls is left alone for up to 10 ms at a time, and so pays no wake-up a request.
 *
 * Inhibiting: whoever begins a capture or destroys a stream or context raises a count and waits,
 * bounded, until the helper's present driver call has ended; the helper says that it is in a call
 * first and looks at the count then, so check and act cannot cross.
 */
#ifndef REIN_HELPER_H
#define REIN_HELPER_H

#include "shim.h"

/* The thread; warden.c starts it, once, after cuInit. */
void *rein_helper_main(void *unused);
/* The client became active or was attached. */
void rein_helper_wake(void);
/* The process ends: no driver call any more. */
void rein_helper_stop(void);
/* While the program is active the helper looks, and finds out when it no longer is. */
bool rein_helper_on(void);

void rein_helper_inhibit(void);
void rein_helper_allow(void);
bool rein_helper_inhibited(void);
/* Around calls that our other threads make into the driver: false if they must not be made now, for
 * somebody captures or inhibits; else whoever does waits for _end(). */
bool rein_helper_call_begin(void);
void rein_helper_call_end(void);

/* One look at everything, as the thread does it; true: something completed. For the thread and for
 * tests. `last_resort`: what cannot be asked about counts as over at once, not after a lease. */
bool rein_helper_look(bool last_resort);

#endif
