// SPDX-License-Identifier: Apache-2.0
/* wrap_libc.c: somebody else's interposer: wraps puts and getenv through dlsym(RTLD_NEXT). */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int puts(const char *text)
{
	int (*next)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "puts");
	fputs("[wrapped] ", stdout);
	return next(text);
}

/* RTLD_NEXT that came back to ourselves would recurse until the stack ends. */
EXPORT char *getenv(const char *name)
{
	char *(*next)(const char *) = (char *(*)(const char *))dlsym(RTLD_NEXT, "getenv");
	return next(name);
}
