// SPDX-License-Identifier: Apache-2.0
/* driver.c: see driver.h. */
#include "driver.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared.h"

#define TABLE_BYTES_MAX (4u << 20) /* NVIDIA's 580: 40 KiB of symbols, 30 of names */
#define HEADERS_MAX 256u
#define NAME_MAX_LEN 64u /* longer is none of ours, however long */

/* What submits, and what waits; their other ABIs end in _ptsz. */
static const struct {
	const char *name;
	uint32_t what;
} calls[] = {
    {"cuLaunchKernel", REIN_BPF_LAUNCH},
    {"cuLaunchKernelEx", REIN_BPF_LAUNCH},
    {"cuLaunchCooperativeKernel", REIN_BPF_LAUNCH},
    {"cuGraphLaunch", REIN_BPF_LAUNCH},
    {"cuStreamSynchronize", REIN_BPF_SYNC},
    {"cuEventSynchronize", REIN_BPF_SYNC},
    {"cuCtxSynchronize", REIN_BPF_SYNC},
};

/* ---------------------------------------------------------------- which file */

static bool is_driver(const char *path)
{
	const char *base = strrchr(path, '/');
	return base && strncmp(base, "/libcuda.so", strlen("/libcuda.so")) == 0;
}

/* "from-to perms offset dev inode path": its code, of a file. */
static bool maps_driver(const char *line, char *range, size_t len)
{
	char from_to[40], perms[8], path[1024];
	unsigned long inode;
	if (sscanf(line, "%39s %7s %*s %*s %lu %1023s", from_to, perms, &inode, path) != 4 ||
	    !inode || !strchr(perms, 'x') || !is_driver(path))
		return false;
	snprintf(range, len, "%s", from_to);
	return true;
}

int rein_driver_open(const char *proc, pid_t pid)
{
	char path[160], line[2048], range[40] = "";
	snprintf(path, sizeof(path), "%s/%d/maps", proc, (int)pid);
	REIN_AUTO_FCLOSE FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	while (!range[0] && fgets(line, sizeof(line), f))
		(void)maps_driver(line, range, sizeof(range));
	if (!range[0])
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/%d/map_files/%s", proc, (int)pid, range);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* ---------------------------------------------------------------- where in it */

/* `size` bytes of the file, with a zero behind them; NULL. The caller frees. */
static void *piece(int fd, uint64_t at, uint64_t size)
{
	if (!size || size > TABLE_BYTES_MAX || at > INT64_MAX - size)
		return NULL;
	char *buf = malloc((size_t)size + 1);
	if (!buf || pread(fd, buf, (size_t)size, (off_t)at) != (ssize_t)size) {
		free(buf);
		return NULL;
	}
	buf[size] = 0;
	return buf;
}

static uint32_t what_of(const char *name)
{
	static const char other[] = "_ptsz";
	size_t n = strnlen(name, NAME_MAX_LEN);
	if (n > sizeof(other) - 1 && strcmp(name + n - (sizeof(other) - 1), other) == 0)
		n -= sizeof(other) - 1;
	for (unsigned i = 0; i < REIN_ARRAY_LEN(calls); i++)
		if (strlen(calls[i].name) == n && memcmp(calls[i].name, name, n) == 0)
			return calls[i].what;
	return 0;
}

/* Where in the file an address is; 0: nowhere. */
static uint64_t offset_of(const Elf64_Phdr *ph, unsigned n, uint64_t addr)
{
	for (unsigned i = 0; i < n; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_flags & PF_X && addr >= ph[i].p_vaddr &&
		    addr - ph[i].p_vaddr < ph[i].p_filesz)
			return addr - ph[i].p_vaddr + ph[i].p_offset;
	return 0;
}

static bool has(const struct rein_driver_calls *out, uint64_t offset)
{
	for (unsigned i = 0; i < out->n; i++)
		if (out->offset[i] == offset)
			return true;
	return false;
}

static void search(const Elf64_Sym *sym, size_t n, const char *names, size_t names_len,
                   const Elf64_Phdr *ph, unsigned n_ph, struct rein_driver_calls *out)
{
	for (size_t i = 0; i < n && out->n < REIN_DRIVER_CALLS; i++) {
		bool function = ELF64_ST_TYPE(sym[i].st_info) == STT_FUNC && sym[i].st_shndx;
		uint32_t what =
		    function && sym[i].st_name < names_len ? what_of(names + sym[i].st_name) : 0;
		uint64_t offset = what ? offset_of(ph, n_ph, sym[i].st_value) : 0;
		if (!offset || has(out, offset))
			continue;
		out->offset[out->n] = offset;
		out->what[out->n++] = what;
	}
}

int rein_driver_calls(int fd, struct rein_driver_calls *out)
{
	Elf64_Ehdr eh;
	memset(out, 0, sizeof(*out));
	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) ||
	    memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh.e_type != ET_DYN || eh.e_shentsize != sizeof(Elf64_Shdr) ||
	    eh.e_phentsize != sizeof(Elf64_Phdr) || eh.e_shnum > HEADERS_MAX ||
	    eh.e_phnum > HEADERS_MAX)
		return -ENOEXEC;
	REIN_AUTO_FREE Elf64_Shdr *sh = piece(fd, eh.e_shoff, eh.e_shnum * sizeof(*sh));
	REIN_AUTO_FREE Elf64_Phdr *ph = piece(fd, eh.e_phoff, eh.e_phnum * sizeof(*ph));
	for (unsigned i = 0; sh && ph && i < eh.e_shnum; i++) {
		if (sh[i].sh_type != SHT_DYNSYM || sh[i].sh_link >= eh.e_shnum)
			continue;
		const Elf64_Shdr *strings = &sh[sh[i].sh_link];
		REIN_AUTO_FREE Elf64_Sym *sym = piece(fd, sh[i].sh_offset, sh[i].sh_size);
		REIN_AUTO_FREE char *names = piece(fd, strings->sh_offset, strings->sh_size);
		if (sym && names)
			search(sym, sh[i].sh_size / sizeof(*sym), names, strings->sh_size, ph,
			       eh.e_phnum, out);
	}
	if (!out->n)
		return -ENOEXEC;
	if (pread(fd, out->first, sizeof(out->first), (off_t)out->offset[0]) != sizeof(out->first))
		memset(out->first, 0, sizeof(out->first));
	return 0;
}
