// SPDX-License-Identifier: Apache-2.0
/* outsider.c: see outsider.h. */
#include "outsider.h"

#include <bpf/bpf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <link.h>
#include <linux/bpf.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "../../common/clock.h"
#include "driver.h"
#include "records.h"

#include "outsider.skel.h"

#define UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI, Linux 6.6: not yet in every linux/bpf.h */
#define TAKEN_MAX (4 * REIN_BPF_OUTSIDERS)
#define COST_CALLS 200u
#define COST_ROUNDS 5u

struct rein_outsiders {
	struct rein_outsider *programs;
	int counts, call; /* their map and program */
	uint64_t looked_ns;
	DIR *proc; /* how far this look is; NULL: none is under way */
	unsigned n, cost_ns;
	struct {
		pid_t pid;
		int link; /* -1: it cannot be probed, and is not tried again */
	} probed[REIN_OUTSIDERS_MAX];
};

/* ---------------------------------------------------------------- probes */

/* A link that counts these calls of one process; -errno. Ends when it is closed. */
static int probe(int program, const char *path, pid_t pid, const uint64_t *offset,
                 const uint64_t *what, unsigned n)
{
	struct { /* bpf_attr.link_create with its uprobe_multi part: uapi/linux/bpf.h, 6.6 */
		uint32_t program, target, attach_type, flags;
		uint64_t path, offsets, ref_ctr_offsets, cookies;
		uint32_t n, multi_flags, pid, pad;
	} link = {.program = (uint32_t)program, .attach_type = UPROBE_MULTI};
	link.path = (uint64_t)(uintptr_t)path;
	link.offsets = (uint64_t)(uintptr_t)offset;
	link.cookies = (uint64_t)(uintptr_t)what;
	link.n = n;
	link.pid = (uint32_t)pid;
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &link, sizeof(link));
	return fd < 0 ? -errno : (int)fd;
}

/* ---- what a probe costs here: the first instruction decides. Some the kernel carries out itself,
 * others it must step over one by one, which a virtual machine makes slow (docs/gpu-facts.md). */
#if defined(__x86_64__)
void rein_outsiders_plain(void);
void rein_outsiders_branch(void);
__asm__(".text\n"
        ".hidden rein_outsiders_plain\n.globl rein_outsiders_plain\nrein_outsiders_plain:\n"
        "push %rbp\npop %rbp\nret\n"
        ".hidden rein_outsiders_branch\n.globl rein_outsiders_branch\nrein_outsiders_branch:\n"
        ".byte 0xf3,0x0f,0x1e,0xfa\nret\n"); /* endbr64 */

struct place {
	uintptr_t addr;
	uint64_t offset;
};

static int find_place(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct place *p = arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + ph->p_vaddr;
		if (ph->p_type != PT_LOAD || p->addr < begin || p->addr - begin >= ph->p_filesz)
			continue;
		p->offset = p->addr - begin + ph->p_offset;
		return 1;
	}
	return 0;
}

/* The fastest of some rounds: what is more is somebody else's. */
static uint64_t time_calls(void (*call)(void))
{
	uint64_t best_ns = UINT64_MAX;
	for (unsigned r = 0; r < COST_ROUNDS; r++) {
		uint64_t begin_ns = rein_now_ns();
		for (unsigned i = 0; i < COST_CALLS; i++)
			call();
		uint64_t took_ns = rein_now_ns() - begin_ns;
		best_ns = took_ns < best_ns ? took_ns : best_ns;
	}
	return best_ns;
}

static unsigned measure(const struct rein_outsiders *o, const uint8_t first[4])
{
	static const uint8_t endbr64[4] = {0xf3, 0x0f, 0x1e, 0xfa};
	bool branch = memcmp(first, endbr64, sizeof(endbr64)) == 0;
	void (*volatile call)(void) = branch ? rein_outsiders_branch : rein_outsiders_plain;
	struct place p = {.addr = (uintptr_t)call};
	const uint64_t nothing = 0;
	if (!dl_iterate_phdr(find_place, &p))
		return 0;
	uint64_t bare_ns = time_calls(call);
	int link = probe(o->call, "/proc/self/exe", getpid(), &p.offset, &nothing, 1);
	if (link < 0)
		return 0;
	uint64_t probed_ns = time_calls(call);
	close(link);
	return probed_ns > bare_ns ? (unsigned)((probed_ns - bare_ns) / COST_CALLS) : 0;
}
#else
static unsigned measure(const struct rein_outsiders *o, const uint8_t first[4])
{
	return 0;
}
#endif

static void probe_process(struct rein_outsiders *o, pid_t pid)
{
	struct rein_driver_calls calls;
	char path[32];
	REIN_AUTO_CLOSE int fd = rein_driver_open("/proc", pid);
	if (fd < 0)
		return;
	int link = rein_driver_calls(fd, &calls);
	if (!link) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		link = probe(o->call, path, pid, calls.offset, calls.what, calls.n);
	}
	if (link >= 0 && !o->cost_ns)
		o->cost_ns = measure(o, calls.first);
	o->probed[o->n].pid = pid;
	o->probed[o->n++].link = link < 0 ? -1 : link;
}

static void drop(struct rein_outsiders *o, unsigned i)
{
	if (o->probed[i].link >= 0)
		close(o->probed[i].link);
	o->probed[i] = o->probed[--o->n];
}

void rein_outsiders_let_go(struct rein_outsiders *o, pid_t pid)
{
	for (unsigned i = o->n; i-- > 0;)
		if (o->probed[i].pid == pid)
			drop(o, i);
}

static bool is_probed(const struct rein_outsiders *o, pid_t pid)
{
	for (unsigned i = 0; i < o->n; i++)
		if (o->probed[i].pid == pid)
			return true;
	return false;
}

static void forget_dead(struct rein_outsiders *o)
{
	for (unsigned i = o->n; i-- > 0;)
		if (kill(o->probed[i].pid, 0) < 0 && errno == ESRCH)
			drop(o, i);
}

void rein_outsiders_look(struct rein_outsiders *o, bool (*is_client)(void *arg, pid_t pid),
                         void *arg, uint64_t now_ns)
{
	struct dirent *d = NULL;
	if (!o->proc && o->looked_ns && now_ns - o->looked_ns < REIN_OUTSIDERS_LOOK_NS)
		return;
	if (!o->proc) {
		o->looked_ns = now_ns;
		forget_dead(o);
		o->proc = opendir("/proc");
	}
	for (unsigned i = 0; o->proc && i < REIN_OUTSIDERS_LOOK_AT; i++) {
		d = o->n < REIN_OUTSIDERS_MAX ? readdir(o->proc) : NULL;
		if (!d)
			break;
		pid_t pid = isdigit((unsigned char)d->d_name[0]) ? atoi(d->d_name) : 0;
		if (pid && pid != getpid() && !is_probed(o, pid) && !is_client(arg, pid))
			probe_process(o, pid);
	}
	if (o->proc && !d) {
		closedir(o->proc);
		o->proc = NULL;
	}
}

unsigned rein_outsiders_probed(const struct rein_outsiders *o)
{
	unsigned n = 0;
	for (unsigned i = 0; i < o->n; i++)
		n += o->probed[i].link >= 0;
	return n;
}

unsigned rein_outsiders_cost_ns(const struct rein_outsiders *o)
{
	return o->cost_ns;
}

/* ---------------------------------------------------------------- counts */

void rein_outsiders_take(struct rein_outsiders *o, const struct rein_bpf_sink *sink)
{
	struct rein_bpf_outsider_key key;
	struct rein_bpf_outsider count;
	struct rein_trace_record r;
	for (unsigned i = 0; i < TAKEN_MAX; i++) {
		if (bpf_map_get_next_key(o->counts, NULL, &key) < 0)
			return;
		if (bpf_map_lookup_and_delete_elem(o->counts, &key, &count) < 0)
			return;
		if (!rein_bpf_outsider_record(&key, &count, &r))
			continue;
		bool gone =
		    key.what == REIN_BPF_EXIT; /* its name may be another program's already */
		struct rein_bpf_named names[REIN_BPF_NAMES] = {{gone ? 0 : key.tgid, ""}};
		memcpy(names[0].comm, count.comm, sizeof(names[0].comm));
		if (gone)
			rein_outsiders_let_go(o, (pid_t)key.tgid);
		sink->record(sink->arg, &r, names);
	}
}

/* ---------------------------------------------------------------- loading */

/* Of the driver's devices, as the kernel numbers them here. */
static void find_majors(const char *devices, volatile const uint32_t *to)
{
	char line[128], name[96];
	unsigned major, n = 0;
	REIN_AUTO_FCLOSE FILE *f = fopen(devices, "re");
	while (f && n < REIN_BPF_MAJORS && fgets(line, sizeof(line), f))
		if (sscanf(line, "%u %95s", &major, name) == 2 && strncmp(name, "nvidia", 6) == 0)
			((volatile uint32_t *)(uintptr_t)to)[n++] = major;
}

static int load(struct rein_outsiders *o, int slots, const char *devices)
{
	struct rein_outsider *p = rein_outsider__open();
	if (!p)
		return -errno;
	o->programs = p;
	find_majors(devices, p->rodata->majors);
	bpf_program__set_expected_attach_type(p->progs.rein_call, UPROBE_MULTI);
	bpf_program__set_autoattach(p->progs.rein_call, false);
	bpf_program__set_autoload(p->progs.rein_ioctl, p->rodata->majors[0] != 0);
	int err = bpf_map__reuse_fd(p->maps.slots, slots);
	err = err ? err : rein_outsider__load(p);
	err = err ? err : rein_outsider__attach(p);
	o->counts = bpf_map__fd(p->maps.counts);
	o->call = bpf_program__fd(p->progs.rein_call);
	return err;
}

int rein_outsiders_open(struct rein_outsiders **out, int slots, const char *devices, char *why,
                        size_t why_len)
{
	struct rein_outsiders *o = calloc(1, sizeof(*o));
	int err = o ? load(o, slots, devices) : -ENOMEM;
	if (err) {
		snprintf(why, why_len,
		         "programs without the shim are not probed: %s; that needs Linux 6.6 and "
		         "root",
		         strerror(-err));
		rein_outsiders_close(o);
		return err;
	}
	*out = o;
	return 0;
}

void rein_outsiders_close(struct rein_outsiders *o)
{
	if (!o)
		return;
	while (o->n)
		drop(o, o->n - 1);
	if (o->proc)
		closedir(o->proc);
	rein_outsider__destroy(o->programs);
	free(o);
}
