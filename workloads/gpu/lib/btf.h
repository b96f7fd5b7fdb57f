// SPDX-License-Identifier: Apache-2.0
/*
 * btf.h: finds types in BTF, the kernel's description of its own types (/sys/kernel/btf/vmlinux).
 * BPF programs of the kinds tp_btf, fentry, LSM and struct_ops are attached by the number of a
 * type; the kernel has no call that tells it, so one looks it up.
 *
 * The blob is not trusted: every length is checked before it is followed, and nothing is written.
 * The format is that of the kernel's Documentation/bpf/btf.rst. Only this machine's byte order.
 */
#ifndef WORKLOADS_GPU_LIB_BTF_H
#define WORKLOADS_GPU_LIB_BTF_H

#include <stddef.h>
#include <stdint.h>

/* The kinds that are asked for (<linux/btf.h> has all). */
enum wl_btf_kind {
	WL_BTF_STRUCT = 4,
	WL_BTF_TYPEDEF = 8,
	WL_BTF_FUNC = 12,
};

/* Views of a blob that must outlive it. */
struct wl_btf {
	const uint8_t *types;
	size_t types_len;
	const char *strings; /* ends with a NUL */
	size_t strings_len;
};

/* 0, or -EINVAL if this is no BTF. */
int wl_btf_open(struct wl_btf *b, const void *blob, size_t len);
/* The number of the first type of that kind and name (≥ 1), -ENOENT, or -EINVAL if the types
 * before it make no sense. */
int wl_btf_find(const struct wl_btf *b, enum wl_btf_kind kind, const char *name);
/* Which member of structure `id` has that name, counted from 0; -ENOENT, -EINVAL. */
int wl_btf_member(const struct wl_btf *b, int id, const char *name);
/* Reads a file whole into *blob, which the caller frees. 0 or -errno. */
int wl_btf_read(const char *path, void **blob, size_t *len);

#endif
