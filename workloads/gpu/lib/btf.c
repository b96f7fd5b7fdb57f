// SPDX-License-Identifier: Apache-2.0
/* btf.c: see btf.h. */
#include "btf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0xeb9fu
#define FILE_MAX_BYTES (256u << 20) /* a kernel's BTF has a few MiB */

struct header { /* as in the file */
	uint16_t magic;
	uint8_t version, flags;
	uint32_t hdr_len, type_off, type_len, str_off, str_len;
};

struct type { /* as in the file; further data follows, by kind */
	uint32_t name_off, info, size_or_type;
};

struct member {
	uint32_t name_off, type, offset;
};

/* A place in the types, and what stands there. */
struct cursor {
	size_t at;   /* of the next type */
	size_t more; /* where the data behind this type's three words begins */
	int id;      /* of this type */
	struct type type;
};

static uint32_t kind_of(const struct type *t)
{
	return (t->info >> 24) & 0x1f;
}

static uint32_t count_of(const struct type *t)
{
	return t->info & 0xffff;
}

/* Bytes behind a type's three words, or -1 for a kind whose length nobody told us. */
static int64_t extra_bytes(const struct type *t)
{
	int64_t n = count_of(t);
	switch (kind_of(t)) {
	case 1:  /* integer */
	case 14: /* variable */
	case 17: /* declaration tag */
		return 4;
	case 3: /* array */
		return 12;
	case 4:  /* structure */
	case 5:  /* union */
	case 15: /* section */
	case 19: /* enumeration of 64 bits */
		return 12 * n;
	case 6:  /* enumeration */
	case 13: /* function prototype */
		return 8 * n;
	case 2:  /* pointer */
	case 7:  /* forward declaration */
	case 8:  /* typedef */
	case 9:  /* volatile */
	case 10: /* const */
	case 11: /* restrict */
	case 12: /* function */
	case 16: /* float */
	case 18: /* type tag */
		return 0;
	default:
		return -1;
	}
}

/* 1: there is a next type, 0: the end, -EINVAL. */
static int next_type(const struct wl_btf *b, struct cursor *c)
{
	if (c->at == b->types_len)
		return 0;
	if (b->types_len - c->at < sizeof(c->type) || c->id == INT_MAX)
		return -EINVAL;
	memcpy(&c->type, b->types + c->at, sizeof(c->type));
	c->more = c->at + sizeof(c->type);
	int64_t extra = extra_bytes(&c->type);
	if (extra < 0 || (uint64_t)extra > b->types_len - c->more)
		return -EINVAL;
	c->at = c->more + (size_t)extra;
	c->id++;
	return 1;
}

static bool named(const struct wl_btf *b, uint32_t off, const char *name)
{
	/* the last byte of the strings is a NUL, so any string that begins inside ends inside */
	return off < b->strings_len && strcmp(b->strings + off, name) == 0;
}

int wl_btf_open(struct wl_btf *b, const void *blob, size_t len)
{
	struct header h;
	if (len < sizeof(h))
		return -EINVAL;
	memcpy(&h, blob, sizeof(h));
	if (h.magic != MAGIC || h.version != 1 || h.hdr_len < sizeof(h) || h.hdr_len > len)
		return -EINVAL;
	const uint8_t *body = (const uint8_t *)blob + h.hdr_len;
	size_t room = len - h.hdr_len;
	if (h.type_off > room || h.type_len > room - h.type_off || h.str_off > room ||
	    h.str_len > room - h.str_off || h.str_len == 0)
		return -EINVAL;
	b->types = body + h.type_off;
	b->types_len = h.type_len;
	b->strings = (const char *)body + h.str_off;
	b->strings_len = h.str_len;
	return b->strings[h.str_len - 1] == '\0' ? 0 : -EINVAL;
}

int wl_btf_find(const struct wl_btf *b, enum wl_btf_kind kind, const char *name)
{
	struct cursor c = {0};
	int r;
	while ((r = next_type(b, &c)) > 0)
		if (kind_of(&c.type) == (uint32_t)kind && named(b, c.type.name_off, name))
			return c.id;
	return r < 0 ? r : -ENOENT;
}

int wl_btf_member(const struct wl_btf *b, int id, const char *name)
{
	struct cursor c = {0};
	int r;
	while ((r = next_type(b, &c)) > 0 && c.id != id)
		;
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	if (kind_of(&c.type) != WL_BTF_STRUCT)
		return -EINVAL;
	for (uint32_t i = 0; i < count_of(&c.type); i++) {
		struct member m;
		memcpy(&m, b->types + c.more + i * sizeof(m), sizeof(m));
		if (named(b, m.name_off, name))
			return (int)i;
	}
	return -ENOENT;
}

int wl_btf_read(const char *path, void **blob, size_t *len)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) != 0)
		err = -errno;
	else if (st.st_size <= 0 || st.st_size > (off_t)FILE_MAX_BYTES)
		err = -EFBIG;
	char *buf = err ? NULL : malloc((size_t)st.st_size);
	size_t have = 0;
	while (!err && buf && have < (size_t)st.st_size) {
		ssize_t n = read(fd, buf + have, (size_t)st.st_size - have);
		if (n < 0 && errno != EINTR)
			err = -errno;
		if (n == 0)
			break;
		have += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	if (err || !buf) {
		free(buf);
		return err ? err : -ENOMEM;
	}
	*blob = buf;
	*len = have;
	return 0;
}
