// SPDX-License-Identifier: Apache-2.0
/* bpf.c: see bpf.h. The programs claim a licence that is compatible with the GPL because the
 * kernel lets only such ones read user memory or be LSM programs. */
#include "bpf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LICENSE "Dual MIT/GPL"
#define VERIFIER_LOG_BYTES 65536
#define UPROBE_REF_CTR_SHIFT 32 /* perf's attr.config: format/ref_ctr_offset */

static int bpf(int command, union bpf_attr *attr, size_t size)
{
	long r = syscall(SYS_bpf, command, attr, size);
	return r < 0 ? -errno : (int)r;
}

/* ---- assembling */
void wl_bpf_emit(struct wl_bpf *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	if (p->n >= WL_BPF_INSNS)
		return; /* the verifier will refuse it: no exit */
	p->insn[p->n++] = (struct bpf_insn){
	    .code = code, .dst_reg = dst & 15, .src_reg = src & 15, .off = off, .imm = imm};
}

void wl_bpf_emit_wide(struct wl_bpf *p, uint8_t dst, uint8_t src, uint64_t value)
{
	wl_bpf_emit(p, BPF_LD | BPF_DW | BPF_IMM, dst, src, 0, (int32_t)(uint32_t)value);
	/* of a map value the second half is the offset in it: 0, as in a descriptor's upper half */
	wl_bpf_emit(p, 0, 0, 0, 0, (int32_t)(uint32_t)(value >> 32));
}

void wl_bpf_emit_return(struct wl_bpf *p, int32_t value)
{
	wl_bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, value);
	wl_bpf_emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

void wl_bpf_emit_count(struct wl_bpf *p, int map)
{
	wl_bpf_emit_wide(p, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, (uint32_t)map);
	wl_bpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 1);
	wl_bpf_emit(p, BPF_STX | BPF_DW | BPF_ATOMIC, BPF_REG_1, BPF_REG_2, 0, BPF_ADD);
	wl_bpf_emit_return(p, 0);
}

/* ---- loading */
static void last_line(const char *log, char *out, size_t len)
{
	size_t end = strnlen(log, VERIFIER_LOG_BYTES);
	const char *line = "";
	size_t n = 0;
	/* the very last line counts instructions ("processed 0 insns …"): the one before says why
	 */
	while (end > 0) {
		size_t begin = end;
		while (begin > 0 && log[begin - 1] != '\n')
			begin--;
		line = log + begin;
		n = end - begin;
		if (n > 0 && strncmp(line, "processed ", 10) != 0)
			break;
		n = 0;
		end = begin > 0 ? begin - 1 : 0;
	}
	snprintf(out, len, "%.*s", (int)n, line);
}

int wl_bpf_load(struct wl_bpf *p)
{
	static char log[VERIFIER_LOG_BYTES];
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = p->type;
	attr.expected_attach_type = p->attach_type;
	attr.attach_btf_id = (uint32_t)p->btf_id;
	attr.insns = (uint64_t)(uintptr_t)p->insn;
	attr.insn_cnt = (uint32_t)p->n;
	attr.license = (uint64_t)(uintptr_t)LICENSE;
	memcpy(attr.prog_name, "wl_probe", sizeof("wl_probe"));
	p->why[0] = '\0';
	int fd = bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd >= 0)
		return fd;
	/* again, with the verifier's words: a log can itself be what is refused */
	int err = fd;
	log[0] = '\0';
	attr.log_level = 1;
	attr.log_buf = (uint64_t)(uintptr_t)log;
	attr.log_size = sizeof(log);
	fd = bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
	last_line(log, p->why, sizeof(p->why));
	return fd >= 0 ? fd : err;
}

int wl_bpf_map(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t entries)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key_size;
	attr.value_size = value_size;
	attr.max_entries = entries;
	return bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
}

int wl_bpf_map_task_storage(void)
{
	/* BTF of two integers: 1 is "int" of 4 bytes (the key), 2 "u64" of 8 (the value) */
	static const char names[] = "\0int\0u64";
	struct {
		uint16_t magic;
		uint8_t version, flags;
		uint32_t hdr_len, type_off, type_len, str_off, str_len;
		uint32_t types[8];
		char strings[sizeof(names)];
	} blob = {
	    .magic = 0xeb9f,
	    .version = 1,
	    .hdr_len = 24,
	    .type_len = 32,
	    .str_off = 32,
	    .str_len = sizeof(names),
	    .types = {1, 1u << 24, 4, 1u << 24 | 32, 5, 1u << 24, 8, 64}, /* the first: signed */
	};
	union bpf_attr attr;
	memcpy(blob.strings, names, sizeof(names));
	memset(&attr, 0, sizeof(attr));
	attr.btf = (uint64_t)(uintptr_t)&blob;
	attr.btf_size = 24 + 32 + sizeof(names);
	int btf = bpf(BPF_BTF_LOAD, &attr, sizeof(attr));
	if (btf < 0)
		return btf;
	memset(&attr, 0, sizeof(attr));
	attr.map_type = WL_BPF_MAP_TASK_STORAGE;
	attr.key_size = 4;
	attr.value_size = 8;
	attr.map_flags = BPF_F_NO_PREALLOC;
	attr.btf_fd = (uint32_t)btf;
	attr.btf_key_type_id = 1;
	attr.btf_value_type_id = 2;
	int fd = bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	close(btf);
	return fd;
}

int wl_bpf_counter(void)
{
	return wl_bpf_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
}

uint64_t wl_bpf_count(int map)
{
	uint32_t key = 0;
	uint64_t value = 0;
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = (uint64_t)(uintptr_t)&key;
	attr.value = (uint64_t)(uintptr_t)&value;
	return bpf(BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) == 0 ? value : 0;
}

/* ---- attaching */
int wl_bpf_attach_raw(int prog, const char *tracepoint)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = (uint64_t)(uintptr_t)tracepoint;
	attr.raw_tracepoint.prog_fd = (uint32_t)prog;
	return bpf(BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr));
}

/* Where an address of this program lies in its file, which is how uprobes name it. */
struct place {
	uintptr_t address;
	int64_t offset;
};

static int find_segment(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct place *p = arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + h->p_vaddr;
		if (h->p_type == PT_LOAD && p->address >= begin && p->address - begin < h->p_filesz)
			p->offset = (int64_t)(p->address - begin + h->p_offset);
	}
	return 1; /* the first object is the program itself: no further ones */
}

static int64_t file_offset(const void *address)
{
	struct place p = {.address = (uintptr_t)address, .offset = -ENOENT};
	dl_iterate_phdr(find_segment, &p);
	return p.offset;
}

static int own_path(char *path, size_t len)
{
	ssize_t n = readlink("/proc/self/exe", path, len - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	return 0;
}

int wl_bpf_attach_uprobe_multi(int prog, const void *function)
{
	struct { /* bpf_attr.link_create with its uprobe_multi part, as of Linux 6.6 */
		uint32_t prog_fd, target_fd, attach_type, flags;
		uint64_t path, offsets, ref_ctr_offsets, cookies;
		uint32_t cnt, multi_flags, pid, pad;
	} link = {0};
	union bpf_attr attr;
	_Static_assert(sizeof(attr) >= sizeof(link), "bpf_attr holds a uprobe_multi link");
	char path[PATH_MAX];
	int64_t offset = file_offset(function);
	int err = offset < 0 ? (int)offset : own_path(path, sizeof(path));
	if (err)
		return err;
	uint64_t offsets[1] = {(uint64_t)offset};
	link.prog_fd = (uint32_t)prog;
	link.attach_type = WL_BPF_ATTACH_UPROBE_MULTI;
	link.path = (uint64_t)(uintptr_t)path;
	link.offsets = (uint64_t)(uintptr_t)offsets;
	link.cnt = 1;
	memset(&attr, 0, sizeof(attr));
	memcpy(&attr, &link, sizeof(link));
	return bpf(BPF_LINK_CREATE, &attr, sizeof(attr));
}

static int perf_type(const char *event)
{
	char path[96];
	int type = -1;
	snprintf(path, sizeof(path), "/sys/bus/event_source/devices/%s/type", event);
	FILE *f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? -EOPNOTSUPP : -errno; /* the kernel has no such events */
	if (fscanf(f, "%d", &type) != 1)
		type = -EINVAL;
	fclose(f);
	return type;
}

/* Opens the event and attaches the program to it. */
static int attach_perf(struct perf_event_attr *attr, int prog, pid_t pid, int cpu)
{
	attr->size = sizeof(*attr);
	int fd = (int)syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog) != 0 ||
	    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) != 0) {
		int err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int wl_bpf_attach_probe(int prog, const struct wl_bpf_probe *probe)
{
	struct perf_event_attr attr = {0};
	char path[PATH_MAX];
	int type = perf_type(probe->event);
	if (type < 0)
		return type;
	attr.type = (uint32_t)type;
	attr.config = probe->at_return;
	if (strcmp(probe->event, "kprobe") == 0) {
		attr.kprobe_func = (uint64_t)(uintptr_t)probe->function;
	} else {
		int64_t offset = file_offset(probe->function);
		int64_t counter = probe->semaphore ? file_offset(probe->semaphore) : 0;
		int err = own_path(path, sizeof(path));
		if (offset < 0 || counter < 0 || err)
			return err ? err : -ENOENT;
		attr.uprobe_path = (uint64_t)(uintptr_t)path;
		attr.probe_offset = (uint64_t)offset;
		attr.config |= (uint64_t)counter << UPROBE_REF_CTR_SHIFT;
	}
	/* all processes; the CPU is only a formality, hits on all of them count */
	return attach_perf(&attr, prog, -1, 0);
}

int wl_bpf_attach_sampling(int prog, uint64_t period_ns)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE,
	                               .config = PERF_COUNT_SW_CPU_CLOCK};
	attr.sample_period = period_ns;
	return attach_perf(&attr, prog, 0, -1);
}

int wl_bpf_attach_tracepoint(int prog, int id)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .config = (uint64_t)id};
	attr.sample_period = 1;
	return attach_perf(&attr, prog, -1, 0);
}

/* ---- functions to probe */
static __attribute__((noinline)) long target_c(long x)
{
	__asm__ volatile("" : "+r"(x));
	return x;
}

#ifdef __x86_64__
#define TARGET(symbol, text)                                                                       \
	__asm__(".pushsection .text\n.balign 32\n.type " #symbol ", @function\n" #symbol           \
	        ":\n" text "\nret\n.size " #symbol ", .-" #symbol "\n.popsection\n");              \
	extern __attribute__((visibility("hidden"))) long symbol(long x)
TARGET(wl_bpf_target_nop, "nop");
TARGET(wl_bpf_target_push, "push %rbp\npop %rbp");
TARGET(wl_bpf_target_lea, "lea 1(%rdi), %rax");
TARGET(wl_bpf_target_endbr, ".byte 0xf3, 0x0f, 0x1e, 0xfa");
TARGET(wl_bpf_target_nop5, ".byte 0x0f, 0x1f, 0x44, 0x00, 0x00");
#endif

const struct wl_bpf_target wl_bpf_targets[] = {
#ifdef __x86_64__
    {"nop", "a 1-byte nop, as USDT has it", wl_bpf_target_nop},
    {"push", "push, as most functions without endbr64 begin", wl_bpf_target_push},
    {"nop5", "a 5-byte nop", wl_bpf_target_nop5},
    {"endbr64", "endbr64, as most functions of a distribution begin", wl_bpf_target_endbr},
    {"lea", "lea, which must be single-stepped", wl_bpf_target_lea},
#endif
    {"c", "what this compiler begins an empty function with", target_c},
};
const size_t wl_bpf_n_targets = sizeof(wl_bpf_targets) / sizeof(wl_bpf_targets[0]);
