// SPDX-License-Identifier: Apache-2.0
/*
 * preload.c: librein.so's own part of resolve.c: which object of the process is the driver, and our
 * hooks in place of its functions for who asks dlsym or dlvsym with a handle (asm_dlsym.c); and
 * libc's ioctl, in which the driver names its channel groups (rmgate.h).
 *
 * Not in the stand-in, which is the driver for all that the program can see.
 */
#include "resolve.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/ioctl.h>
#include <string.h>

#include "../common/env.h"
#include "../common/log.h"
#include "agent.h"
#include "demand.h"
#include "elf_objects.h"
#include "request.h"
#include "rmgate.h"

#include "../include/rein.h"

#define DRIVER_FILE "libcuda.so" /* how file names of drivers start; libcudart's do not */
#define DRIVER_SONAME "libcuda.so.1"
#define EXPORT __attribute__((visibility("default")))

/* ---------------------------------------------------------------- libc's dlsym and dlvsym */

REIN_NO_SANITIZE static void *next_dlsym_addr(void)
{
	static rein_a64 cached;
	uint64_t addr = rein_load_relaxed(&cached);
	if (!addr) {
		addr = (uintptr_t)rein_elf_next("dlsym");
		rein_store_relaxed(&cached, addr);
	}
	return (void *)(uintptr_t)addr;
}

REIN_NO_SANITIZE static void *next_dlvsym_addr(void)
{
	static rein_a64 cached;
	uint64_t addr = rein_load_relaxed(&cached);
	if (!addr) {
		addr = (uintptr_t)rein_elf_next("dlvsym");
		rein_store_relaxed(&cached, addr);
	}
	return (void *)(uintptr_t)addr;
}

static void *next_dlsym(void *handle, const char *name)
{
	void *(*next)(void *, const char *) = (void *(*)(void *, const char *))next_dlsym_addr();
	return next ? next(handle, name) : NULL;
}

/* ---------------------------------------------------------------- the driver */

/* The linked one, else the one that holds the address that the application was just given, else
 * one loaded already. NULL: there is none yet. */
static void *loaded_driver(const void *hint, struct rein_elf_object *driver)
{
	void *linked = next_dlsym(RTLD_NEXT, "cuInit");
	if (!(linked && rein_elf_object_of(linked, driver) &&
	      rein_elf_is_named(driver, DRIVER_FILE)) &&
	    !(hint && rein_elf_object_of(hint, driver)) &&
	    !rein_elf_object_named(DRIVER_FILE, driver))
		*driver = (struct rein_elf_object){0, NULL};
	return driver->name ? dlopen(driver->name, RTLD_NOW | RTLD_NOLOAD) : NULL;
}

/* … else the one that the loader finds. */
static void *open_driver(const void *hint, struct rein_elf_object *driver)
{
	static rein_a32 complained;
	void *handle = loaded_driver(hint, driver);
	if (!driver->name)
		handle = dlopen(DRIVER_SONAME, RTLD_NOW | RTLD_LOCAL);
	if (handle && !driver->name) {
		void *init = next_dlsym(handle, "cuInit");
		if (!init || !rein_elf_object_of(init, driver))
			*driver = (struct rein_elf_object){0, DRIVER_SONAME};
	}
	if (!handle && !rein_swap_seqcst(&complained, 1))
		rein_error("no CUDA driver: %s", dlerror());
	return handle;
}

/* Whether it is a stand-in, which does the work itself: requests are its too. */
static bool is_standin(void *handle)
{
	const struct rein_api *(*ask)(uint32_t version);
	if (!next_dlsym(handle, REIN_STANDIN_MARK))
		return false;
	void *symbol = next_dlsym(handle, "rein_api");
	memcpy(&ask, &symbol, sizeof(ask));
	if (symbol)
		rein_requests_pass_to(ask(REIN_API_VERSION));
	return true;
}

void rein_driver_meet(void)
{
	struct rein_elf_object driver;
	int saved = errno;
	void *handle = loaded_driver(NULL, &driver);
	if (handle) {
		(void)is_standin(handle);
		dlclose(handle);
	}
	errno = saved;
}

/* The next definition after ours if there is one (another interposer, a linked driver), else the
 * driver's own. A stand-in does the work itself: then everything passes through here. */
bool rein_driver_find(const void *hint, void *found[REIN_E_COUNT], uintptr_t *base)
{
	struct rein_elf_object driver;
	void *handle = open_driver(hint, &driver);
	if (!handle)
		return false;
	for (int i = 0; i < REIN_E_COUNT; i++) {
		found[i] = next_dlsym(RTLD_NEXT, rein_entries[i].name);
		if (!found[i])
			found[i] = next_dlsym(handle, rein_entries[i].name);
	}
	if (is_standin(handle))
		rein_or_seqcst(&rein_attention, REIN_ATT_OFF);
	rein_rm_entry_fn *entry;
	void *symbol = next_dlsym(handle, REIN_RM_ENTRY);
	memcpy(&entry, &symbol, sizeof(entry));
	rein_rm_entry_set(entry);
	*base = driver.base;
	return true;
}

/* ---------------------------------------------------------------- dlsym and dlvsym */

struct decision {
	void *jump; /* go on there with the caller's arguments; NULL: return `result` */
	void *result;
};
/* called by asm_dlsym.c */
struct decision rein_dlsym_decide(void *handle, const char *name);
struct decision rein_dlvsym_decide(void *handle, const char *name, const char *version);

REIN_NO_SANITIZE static bool ours_to_answer(const void *handle, const char *name)
{
	return handle != RTLD_NEXT && handle != RTLD_DEFAULT && name && name[0] == 'c' &&
	       name[1] == 'u' && rein_hook_find(name) && !rein_env_disabled();
}

/* A function by which somebody makes CUPTI its own (agent.h). */
REIN_NO_SANITIZE static bool is_claim(const void *handle, const char *name)
{
	return handle != RTLD_NEXT && handle != RTLD_DEFAULT && name && name[0] == 'c' &&
	       name[1] == 'u' && name[2] == 'p' && rein_agent_is_claim(name) &&
	       !rein_env_disabled();
}

/* The hook in place of the driver's own function; any other address stays. A second driver, loaded
 * by path beside the one in use, is left alone: `real` would lead into the first. */
static void *hook_in_place_of(void *addr, const char *name)
{
	void *hook = rein_hook_find(name);
	struct rein_elf_object object;
	if (!addr || addr == hook || !rein_elf_object_of(addr, &object) ||
	    !rein_elf_is_named(&object, DRIVER_FILE))
		return addr;
	if (!rein_resolve_near(addr) || object.base != rein_resolve_base())
		return addr;
	return hook;
}

/* Programs look for cuInit among what is loaded to know whether they have CUDA: without a driver
 * our own export is no answer. Libc says why not. */
static bool only_we_have(const char *name)
{
	struct rein_elf_object driver;
	void *hook = rein_hook_find(name);
	return hook && next_dlsym(RTLD_DEFAULT, name) == hook && !next_dlsym(RTLD_NEXT, name) &&
	       !rein_elf_object_named(DRIVER_FILE, &driver);
}

REIN_NO_SANITIZE struct decision rein_dlsym_decide(void *handle, const char *name)
{
	if (handle == RTLD_DEFAULT && name && name[0] == 'c' && name[1] == 'u' &&
	    only_we_have(name))
		return (struct decision){.result = next_dlsym(RTLD_NEXT, name)};
	if (is_claim(handle, name))
		return (struct decision){.result =
		                             rein_agent_instead(name, next_dlsym(handle, name))};
	if (!ours_to_answer(handle, name))
		return (struct decision){.jump = next_dlsym_addr()};
	return (struct decision){.result = hook_in_place_of(next_dlsym(handle, name), name)};
}

REIN_NO_SANITIZE struct decision rein_dlvsym_decide(void *handle, const char *name,
                                                    const char *version)
{
	void *addr = next_dlvsym_addr();
	void *(*next)(void *, const char *, const char *);
	bool claim = is_claim(handle, name);
	if (!(claim || ours_to_answer(handle, name)) || !addr)
		return (struct decision){.jump = addr};
	next = (void *(*)(void *, const char *, const char *))addr;
	if (claim)
		return (struct decision){.result =
		                             rein_agent_instead(name, next(handle, name, version))};
	return (struct decision){.result = hook_in_place_of(next(handle, name, version), name)};
}

/* ---------------------------------------------------------------- ioctl */

typedef int ioctl_fn(int fd, unsigned long request, void *arg);

REIN_NO_SANITIZE static ioctl_fn *next_ioctl(void)
{
	static rein_a64 cached;
	uint64_t addr = rein_load_relaxed(&cached);
	if (REIN_UNLIKELY(!addr)) {
		addr = (uintptr_t)rein_elf_next("ioctl");
		rein_store_relaxed(&cached, addr);
	}
	return (ioctl_fn *)(uintptr_t)addr;
}

static __attribute__((noinline)) int watched_ioctl(int fd, unsigned long request, void *arg)
{
	struct rein_rm_watch w = {request, arg, false};
	if (rein_env_disabled())
		return next_ioctl()(fd, request, arg);
	rein_rmgate_before(&w);
	int result = next_ioctl()(fd, request, arg);
	if (result == -1 && errno == ENOTTY)
		result = rein_rm_entry_ask(fd, request, arg);
	rein_rmgate_after(&w, fd, result);
	return result;
}

/* For the files of others this is a comparison and a jump. libc's prototype has an ellipsis for the
 * third argument, which x86-64 and aarch64 pass as they pass a named one. */
EXPORT int rein_ioctl(int fd, unsigned long request, void *arg) __asm__("ioctl");
REIN_NO_SANITIZE int rein_ioctl(int fd, unsigned long request, void *arg)
{
	if (REIN_LIKELY(_IOC_TYPE(request) != REIN_RM_IOC_TYPE))
		return next_ioctl()(fd, request, arg);
	return watched_ioctl(fd, request, arg);
}
