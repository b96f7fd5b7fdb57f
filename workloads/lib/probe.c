// SPDX-License-Identifier: Apache-2.0
/* probe.c: see probe.h. */
#include "probe.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"

#define TIMEOUT_NS 60000000000ull /* a driver's first start takes seconds on large machines */

int wl_build_folder(char *build, size_t len)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	if (n > 0) {
		exe[n] = 0;
		for (int up = 0; up < 2; up++) {
			char *slash = strrchr(exe, '/');
			if (slash)
				*slash = 0;
		}
		if (exe[0] && strlen(exe) < len) {
			strcpy(build, exe);
			return 0;
		}
	}
	fprintf(stderr, "%s: cannot tell where it was built: /proc/self/exe: %s\n",
	        program_invocation_short_name, n < 0 ? strerror(errno) : "unusable path");
	return -1;
}

/* Is `folder` one of the software drivers of this build? */
static bool is_ours(const char *build, const char *folder, size_t len)
{
	char copy[PATH_MAX], found[PATH_MAX], real_build[PATH_MAX];
	snprintf(copy, sizeof(copy), "%.*s", (int)len, folder);
	if (!realpath(copy, found) || !realpath(build, real_build))
		return false;
	size_t n = strlen(real_build);
	return strncmp(found, real_build, n) == 0 && found[n] == '/';
}

void wl_real_library_path(const char *build, char *entry, size_t len)
{
	const char *at = getenv("LD_LIBRARY_PATH");
	size_t n = (size_t)snprintf(entry, len, "LD_LIBRARY_PATH=");
	for (const char *sep = ""; at && *at;) {
		size_t part = strcspn(at, ":");
		if (part && !is_ours(build, at, part) && n + part + 2 < len) {
			n += (size_t)snprintf(entry + n, len - n, "%s%.*s", sep, (int)part, at);
			sep = ":";
		}
		at += part + (at[part] == ':');
	}
}

bool wl_probe_gpu(const char *build, char *name, size_t len)
{
	static struct wl_child c;
	static char library_path[65536];
	char *argv[] = {"/proc/self/exe", WL_PROBE_FLAG, NULL};
	char *env[] = {library_path, "LD_PRELOAD", NULL};
	struct wl_child *const one[] = {&c};
	uint64_t end = wl_now_ns() + TIMEOUT_NS;
	wl_real_library_path(build, library_path, sizeof(library_path));
	if (wl_child_start(&c, "probe", argv, env))
		return false;
	while (c.pid && wl_now_ns() < end && wl_child_watch(one, 1, 100) != -EINTR)
		;
	wl_child_stop(&c, SIGKILL, 0);
	const char *mark = strstr(c.out, "gpu: ");
	if (!wl_child_ok(&c) || !mark)
		return false;
	mark += strlen("gpu: ");
	snprintf(name, len, "%.*s", (int)strcspn(mark, "\n"), mark);
	return true;
}

int wl_probe_child(void)
{
	char name[96];
	int count = 0;
	void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!driver)
		return 1;
	int (*init)(unsigned) = (int (*)(unsigned))dlsym(driver, "cuInit");
	int (*get_count)(int *) = (int (*)(int *))dlsym(driver, "cuDeviceGetCount");
	int (*get_name)(char *, int, int) =
	    (int (*)(char *, int, int))dlsym(driver, "cuDeviceGetName");
	if (!init || !get_count || !get_name || init(0) || get_count(&count) || count < 1 ||
	    get_name(name, sizeof(name), 0))
		return 1;
	printf("gpu: %s\n", name);
	return 0;
}
