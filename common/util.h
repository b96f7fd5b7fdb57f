// SPDX-License-Identifier: Apache-2.0
/* util.h: what every file uses: cleanup attributes, array length, checked results. */
#ifndef REIN_COMMON_UTIL_H
#define REIN_COMMON_UTIL_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REIN_MUST_CHECK __attribute__((warn_unused_result))
#define REIN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define REIN_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define REIN_LIKELY(x) __builtin_expect(!!(x), 1)
#define REIN_UNLIKELY(x) __builtin_expect(!!(x), 0)

static inline void rein_cleanup_free(void *p)
{
	free(*(void **)p);
}
static inline void rein_cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
static inline void rein_cleanup_fclose(FILE **f)
{
	if (*f)
		fclose(*f);
}
/* owned by the scope: freed or closed when it ends, unless taken */
#define REIN_AUTO_FREE __attribute__((cleanup(rein_cleanup_free)))
#define REIN_AUTO_CLOSE __attribute__((cleanup(rein_cleanup_close)))
#define REIN_AUTO_FCLOSE __attribute__((cleanup(rein_cleanup_fclose)))

/* Copies text, replacing what is not printable ASCII: names reach terminals and JSON. May be in
 * place. */
static inline void rein_printable(char *to, size_t len, const char *from)
{
	size_t i = 0;
	for (; from[i] && i + 1 < len; i++)
		to[i] = (char)(from[i] >= 0x20 && from[i] <= 0x7e ? from[i] : '?');
	to[i] = 0;
}

static inline int rein_take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

#endif
