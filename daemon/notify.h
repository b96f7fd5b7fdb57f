// SPDX-License-Identifier: Apache-2.0
/* notify.h: systemd's readiness protocol by hand (sd_notify(3)): a datagram to $NOTIFY_SOCKET. */
#ifndef REIN_NOTIFY_H
#define REIN_NOTIFY_H

#include <stdint.h>

/* Sends e.g. "READY=1"; nothing happens without $NOTIFY_SOCKET. */
void rein_notify(const char *state);
/* How often WATCHDOG=1 is due (half of $WATCHDOG_USEC), ns; 0: never. */
uint64_t rein_notify_watchdog_ns(void);

#endif
