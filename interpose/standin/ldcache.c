// SPDX-License-Identifier: Apache-2.0
/*
 * ldcache.c: see ldcache.h. The format is glibc's (sysdeps/generic/dl-cache.h, "new format"): a
 * header of 48 bytes, then entries, then strings; offsets count from the header, which older
 * versions of ldconfig put behind a table of an older format.
 */
#include "ldcache.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "glibc-ld.so.cache1.1"
#define SIZE_MAX_BYTES (64u << 20)

struct header {
	char magic[20];
	uint32_t n, strings_len;
	uint32_t unused[5];
};

struct entry {
	int32_t flags;
	uint32_t soname, path; /* offsets of strings */
	uint32_t os_version;
	uint64_t hwcap;
};

_Static_assert(sizeof(struct header) == 48 && sizeof(struct entry) == 24, "glibc's layout");

/* A string inside the table, or "". */
static const char *string_at(const char *table, size_t len, uint32_t offset)
{
	if (offset >= len || !memchr(table + offset, '\0', len - offset))
		return "";
	return table + offset;
}

static bool walk(const char *file, size_t file_len, const char *soname,
                 bool (*take)(void *arg, const char *path), void *arg)
{
	const char *table = memmem(file, file_len, MAGIC, strlen(MAGIC));
	struct header h;
	size_t len = table ? file_len - (size_t)(table - file) : 0;
	if (len < sizeof(h))
		return false;
	memcpy(&h, table, sizeof(h));
	for (uint32_t i = 0; i < h.n && sizeof(h) + (i + 1) * sizeof(struct entry) <= len; i++) {
		struct entry e;
		memcpy(&e, table + sizeof(h) + i * sizeof(e), sizeof(e));
		if (strcmp(string_at(table, len, e.soname), soname) == 0 &&
		    take(arg, string_at(table, len, e.path)))
			return true;
	}
	return false;
}

bool rein_ldcache_find(const char *cache, const char *soname,
                       bool (*take)(void *arg, const char *path), void *arg)
{
	struct stat st;
	bool taken = false;
	int fd = open(cache, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size < SIZE_MAX_BYTES) {
		void *file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (file != MAP_FAILED) {
			taken = walk(file, (size_t)st.st_size, soname, take, arg);
			munmap(file, (size_t)st.st_size);
		}
	}
	close(fd);
	return taken;
}
