// SPDX-License-Identifier: Apache-2.0
/*
 * puppet_client.h: how a test program says where its gate is to close (tests/process/puppet.h).
 * Started by hand, with nobody to ask, nothing is held and nothing is checked of it.
 */
#ifndef PUPPET_CLIENT_H
#define PUPPET_CLIENT_H

#include "api_client.h"

#include <unistd.h>

/* The answer, or 0: nobody is there. */
static inline char ask(char what)
{
	static int fd = -2;
	char answer;
	if (fd == -2) {
		const char *text = getenv("PUPPET_FD");
		fd = text ? atoi(text) : -1;
	}
	if (fd < 0)
		return 0;
	CHECK(write(fd, &what, 1) == 1);
	CHECK(read(fd, &answer, 1) == 1);
	return answer;
}

/* The call finds the gate closed and must wait there (the gate opens then). */
#define HELD(call)                                                                                 \
	do {                                                                                       \
		(void)ask('c');                                                                    \
		OK(call);                                                                          \
		expect_held(1, #call, __LINE__);                                                   \
	} while (0)
/* The call finds the gate closed and must not wait. */
#define NOT_HELD(call)                                                                             \
	do {                                                                                       \
		(void)ask('c');                                                                    \
		OK(call);                                                                          \
		expect_held(0, #call, __LINE__);                                                   \
		(void)ask('o');                                                                    \
	} while (0)

static inline void expect_held(int want, const char *call, int line)
{
	char held = ask('q');
	if (held == 0 || (held == 'y') == want)
		return;
	fprintf(stderr, "line %d: %s: %s\n", line, call,
	        want ? "was not held" : "was held at the closed gate");
	exit(1);
}

#endif
