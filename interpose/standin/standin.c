// SPDX-License-Identifier: Apache-2.0
/*
 * standin.c: the stand-in, build/libcuda.so.1: the same hooks as librein.so's, for places that
 * LD_PRELOAD does not reach. It is found as the driver (LD_LIBRARY_PATH, or preloaded itself: its
 * soname is the driver's), exports all that the driver exports (gen.py: standin_calls.c), and finds
 * the real driver at the first call:
 *
 *   REIN_DRIVER   the real libcuda.so.1, a path; or else the first that can be loaded of
 *   LD_LIBRARY_PATH's other folders, the loader's cache (ldcache.c), and the folders where drivers
 * are
 *
 * by path, because by its soname the loader would give us ourselves again. Whatever turns out to be
 * this library, or another copy of it, is passed over. Functions are read from the driver's own
 * symbol table: neither a replaced dlsym nor the search order can lead back here.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "../../common/env.h"
#include "../../common/log.h"
#include "../elf_objects.h"
#include "../resolve.h"
#include "ldcache.h"

#define DRIVER "libcuda.so.1"

/* Exported, so that a stand-in is known by it. A function: rein_elf_symbol() looks for no others.
 */
__attribute__((visibility("default"))) void rein_standin(void);
void rein_standin(void)
{
}

#ifdef __aarch64__
#define MULTIARCH "aarch64-linux-gnu"
#else
#define MULTIARCH "x86_64-linux-gnu"
#endif
static const char *const folders[] = {
    "/usr/lib/" MULTIARCH,
    "/usr/lib64",
    "/usr/lib",
    "/usr/lib/" MULTIARCH "/nvidia/current",
    "/usr/local/nvidia/lib64", /* containers on some hosts */
    "/usr/lib/wsl/lib",
    "/run/opengl-driver/lib",
};

/* A set-uid program is not told what to load. */
static const char *env(enum rein_env_id id)
{
	return getauxval(AT_SECURE) ? NULL : rein_env_filled(id);
}

/* What is searched in one go. */
struct search {
	void *handle; /* found */
	bool copies;  /* rein's own libraries were seen */
};

/* Keeps the handle if it is a driver. false: go on looking. */
static bool is_driver(struct search *s, void *handle)
{
	if (!handle)
		return false;
	if (rein_elf_is_ours(handle) || rein_elf_symbol(handle, REIN_STANDIN_MARK) ||
	    rein_elf_symbol(handle, "dlsym")) { /* librein.so has one, no driver does */
		s->copies = true;
	} else if (rein_elf_symbol(handle, "cuInit")) {
		s->handle = handle;
		return true;
	}
	dlclose(handle);
	return false;
}

static bool try_path(struct search *s, const char *path)
{
	return access(path, R_OK) == 0 && is_driver(s, dlopen(path, RTLD_NOW | RTLD_LOCAL));
}

static bool try_folder(struct search *s, const char *folder, size_t len)
{
	char path[PATH_MAX];
	if (folder[0] != '/' || len + sizeof("/" DRIVER) > sizeof(path))
		return false;
	snprintf(path, sizeof(path), "%.*s/" DRIVER, (int)len, folder);
	return try_path(s, path);
}

static bool try_library_path(struct search *s)
{
	const char *at = env(REIN_ENV_LD_LIBRARY_PATH);
	while (at && *at) {
		size_t len = strcspn(at, ":;");
		if (try_folder(s, at, len))
			return true;
		at += len + (at[len] != '\0');
	}
	return false;
}

static bool try_cached(void *search, const char *path)
{
	return try_path(search, path);
}

static void *find_anywhere(void)
{
	struct search s = {0};
	if (try_library_path(&s) || rein_ldcache_find(REIN_LDCACHE, DRIVER, try_cached, &s))
		return s.handle;
	for (size_t i = 0; i < REIN_ARRAY_LEN(folders); i++)
		if (try_folder(&s, folders[i], strlen(folders[i])))
			return s.handle;
	return NULL;
}

static void *find_named(const char *path, const char **why)
{
	struct search s = {0};
	if (!strchr(path, '/'))
		*why = "not a path";
	else if (access(path, R_OK) != 0)
		*why = "no such file, or not readable";
	else if (is_driver(&s, dlopen(path, RTLD_NOW | RTLD_LOCAL)))
		return s.handle;
	else if (s.copies)
		*why = "this is rein itself, not the driver";
	else if (!(*why = dlerror()))
		*why = "not a CUDA driver";
	return NULL;
}

/* It is us to whom others pass on. */
void rein_driver_meet(void)
{
}

bool rein_driver_find(const void *hint, void *found[REIN_E_COUNT], uintptr_t *base)
{
	static rein_a32 complained;
	const char *named = env(REIN_ENV_DRIVER), *why = "";
	void *handle = named ? find_named(named, &why) : find_anywhere();
	(void)hint;
	*base = 0;
	if (!handle && !rein_swap_seqcst(&complained, 1)) {
		if (named)
			rein_error("no CUDA driver: REIN_DRIVER=%s: %s", named, why);
		else
			rein_error("no CUDA driver but rein's stand-in: set REIN_DRIVER to the "
			           "path of the real " DRIVER);
	}
	for (int i = 0; handle && i < REIN_E_COUNT; i++)
		found[i] = rein_elf_symbol(handle, rein_entries[i].name);
	return handle != NULL;
}
