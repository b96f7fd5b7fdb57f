// SPDX-License-Identifier: Apache-2.0
/*
 * elf_objects.h: reading the loaded ELF objects of this process, without dlsym (which we replace),
 * without allocation, without touching dlerror or errno.
 */
#ifndef REIN_ELF_OBJECTS_H
#define REIN_ELF_OBJECTS_H

#include <stdbool.h>
#include <stdint.h>

struct rein_elf_object {
	uintptr_t base;   /* load address; tells objects apart */
	const char *name; /* as the loader knows it; lives as long as the object */
};

/*
 * For what may run before anything else in the process: the runtime of a sanitizer calls dlsym, so
 * ours, before it can bear instrumented code or calls of functions that it intercepts.
 */
#define REIN_NO_SANITIZE __attribute__((no_sanitize("address", "thread", "undefined")))

/* The function `symbol`, in its default version, of the first object that was loaded after ours
 * and defines it. NULL: none does. Calls nothing, takes no lock: made for symbols of libc, so that
 * the walk ends before the objects that another thread may be loading or unloading. */
void *rein_elf_next(const char *symbol);

/* The function `symbol` of the object that a dlopen() handle stands for. NULL: it defines none. Not
 * dlsym, which others may replace too. */
void *rein_elf_symbol(void *handle, const char *symbol);

/* Whether the handle stands for the object that this code is in. */
bool rein_elf_is_ours(void *handle);

/* The object that holds the address. */
bool rein_elf_object_of(const void *addr, struct rein_elf_object *out);

/* The first object whose file name starts so ("libcuda.so"). */
bool rein_elf_object_named(const char *start, struct rein_elf_object *out);

/* Whether the object's file name (the part after the last slash) starts so. */
bool rein_elf_is_named(const struct rein_elf_object *object, const char *start);

#endif
