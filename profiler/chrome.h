// SPDX-License-Identifier: Apache-2.0
/*
 * chrome.h: the sink that writes Chrome trace-event JSON, which Perfetto (ui.perfetto.dev) and
 * chrome://tracing open; for small cuts and for other people's scripts. Format: "Trace Event
 * Format", the Chromium project.
 *
 * Threads stand under their own numbers; other tracks under numbers from CHROME_TID on, and those
 * that belong to no process under "processes" of their own. Declared requests are async events.
 * Times are µs with three decimals.
 */
#ifndef REIN_CHROME_H
#define REIN_CHROME_H

#include "export.h"

/* NULL: no memory. `out` stays the caller's. */
struct rein_sink *rein_chrome_new(FILE *out);
void rein_chrome_free(struct rein_sink *s);

#endif
