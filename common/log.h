// SPDX-License-Identifier: Apache-2.0
/*
 * log.h: one line per event on stderr, "rein[PID] level: message key=value …", built in a stack
 * buffer and written with one write(2). Safe in somebody else's process: no allocation, no
 * lock, no stdio, errno kept. The shim logs errors only unless $REIN_LOG says otherwise.
 */
#ifndef REIN_COMMON_LOG_H
#define REIN_COMMON_LOG_H

#include <stdbool.h>

#include "util.h"

enum rein_log_level { REIN_LOG_ERROR, REIN_LOG_WARN, REIN_LOG_INFO, REIN_LOG_DEBUG };

/* `who` is the prefix ("rein", "reind", "librein"); a literal. Level from $REIN_LOG (error,
 * warn, info, debug), else `fallback`. `journal`: prefix lines with <N> for systemd. */
void rein_log_init(const char *who, enum rein_log_level fallback, bool journal);
bool rein_log_on(enum rein_log_level level);
void rein_log(enum rein_log_level level, const char *fmt, ...) REIN_PRINTF(2, 3);

#define rein_error(...) rein_log(REIN_LOG_ERROR, __VA_ARGS__)
#define rein_warn(...) rein_log(REIN_LOG_WARN, __VA_ARGS__)
#define rein_info(...) rein_log(REIN_LOG_INFO, __VA_ARGS__)
#define rein_debug(...) rein_log(REIN_LOG_DEBUG, __VA_ARGS__)

#endif
