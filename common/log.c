// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "env.h"

static struct {
	const char *who;
	enum rein_log_level level;
	bool journal;
} log_state = {.who = "rein", .level = REIN_LOG_ERROR};

static const char *const level_name[] = {"error", "warn", "info", "debug"};

void rein_log_init(const char *who, enum rein_log_level fallback, bool journal)
{
	log_state.who = who;
	log_state.level = fallback;
	log_state.journal = journal;
	const char *want = rein_env(REIN_ENV_LOG);
	for (unsigned i = 0; want && i < REIN_ARRAY_LEN(level_name); i++)
		if (strcmp(want, level_name[i]) == 0)
			log_state.level = (enum rein_log_level)i;
}

bool rein_log_on(enum rein_log_level level)
{
	return level <= log_state.level;
}

void rein_log(enum rein_log_level level, const char *fmt, ...)
{
	if (!rein_log_on(level))
		return;
	static const int journal_prio[] = {3, 4, 6, 7};
	int saved = errno;
	char line[512];
	int n = 0;
	if (log_state.journal)
		n = snprintf(line, sizeof(line), "<%d>%s: ", journal_prio[level],
		             level_name[level]);
	else
		n = snprintf(line, sizeof(line), "%s[%d] %s: ", log_state.who, (int)getpid(),
		             level_name[level]);
	va_list ap;
	va_start(ap, fmt);
	int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		m = 0;
	n += m;
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n] = '\n';
	ssize_t ignored = write(STDERR_FILENO, line, (size_t)n + 1);
	(void)ignored;
	errno = saved;
}
