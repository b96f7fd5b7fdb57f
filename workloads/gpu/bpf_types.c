// SPDX-License-Identifier: Apache-2.0
/*
 * bpf_types.c: what eBPF is allowed on this machine?
 *
 * Asks: which kinds of programs load, attach and run here, and with what rights. Each kind gets a
 * program of a few instructions that counts; it is attached, what it watches is done a few times,
 * and the count is read.
 * Read: the text of a fact is "works" (loaded, attached, counted), "loads" where attaching was not
 * asked for, "counts nothing" (attached and silent: the kind is of no use here), or the error and
 * the step that failed, with the verifier's last line behind it. A kind that needs something that
 * is not there (tracefs, a type in BTF) says so.
 *
 * Everything is detached again within milliseconds, nothing is pinned, mounted or set.
 */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/fact.h"
#include "lib/bpf.h"
#include "lib/btf.h"

#define LIMIT_S 40
#define ROUNDS 5
#define VMLINUX "/sys/kernel/btf/vmlinux"
#define COMM "rein-bpf-probe"
#define MAGIC 0x7265696e2d627066ull
#define RING_BYTES 4096u
#define HELPER_RINGBUF_OUTPUT 130
#define HELPER_GET_CURRENT_COMM 16
#define HELPER_PROBE_READ_USER 112

/* ---- how an attempt ended */
struct attempt {
	const char *step; /* that failed, NULL: none */
	int err;          /* -errno of that step */
	const char *missing;
	uint64_t count; /* what the program counted */
	bool attached;
	char why[WL_BPF_WHY];
};

static struct wl_btf btf;
static bool have_btf;
static volatile uint64_t block = MAGIC; /* what a program reads from our memory */
static volatile uint16_t semaphore __attribute__((section(".data")));

static void say(const char *kind, const struct attempt *a)
{
	char id[96], text[384];
	snprintf(id, sizeof(id), "telemetry.bpf_%s", kind);
	if (a->missing) {
		wl_fact_skip(id, "%s", a->missing);
		return;
	}
	if (a->step)
		snprintf(text, sizeof(text), "%s: %s%s%s", strerrorname_np(-a->err) ?: "error",
		         a->step, a->why[0] ? ": " : "", a->why);
	else if (!a->attached)
		snprintf(text, sizeof(text), "loads");
	else
		snprintf(text, sizeof(text), a->count ? "works" : "counts nothing");
	wl_fact_text(id, text, a->attached && !a->step ? "counted %llu" : NULL,
	             (unsigned long long)a->count);
}

static void failed(struct attempt *a, const char *step, int err)
{
	a->step = step;
	a->err = err;
}

/* ---- what is watched */
static void call_targets(void)
{
	for (int i = 0; i < ROUNDS; i++)
		wl_bpf_targets[0].call(i);
}

static void sleep_a_little(void)
{
	for (int i = 0; i < ROUNDS; i++)
		usleep(500);
}

static void call_getpgid(void)
{
	for (int i = 0; i < ROUNDS; i++)
		syscall(SYS_getpgid, getpid());
}

static void call_ioctl(void)
{
	for (int i = 0; i < ROUNDS; i++)
		ioctl(-1, 0, 0);
}

static void spin(void)
{
	for (uint64_t end = wl_now_ns() + 10000000; wl_now_ns() < end;)
		;
}

/* ---- one kind: its program, how it is attached, what makes it run */
struct kind {
	const char *name;
	uint32_t type, attach_type;
	enum wl_btf_kind btf_kind;
	const char *btf_name; /* where it attaches; NULL: no BTF id */
	int (*attach)(int prog);
	void (*act)(void); /* NULL: loading is all that is asked */
};

static int attach_uprobe(int prog)
{
	return wl_bpf_attach_probe(
	    prog, &(struct wl_bpf_probe){"uprobe", wl_bpf_targets[0].call, false, NULL});
}

static int attach_uretprobe(int prog)
{
	return wl_bpf_attach_probe(
	    prog, &(struct wl_bpf_probe){"uprobe", wl_bpf_targets[0].call, true, NULL});
}

/* As USDT attaches: besides the probe the kernel keeps a counter that says whether one is there */
static int attach_usdt(int prog)
{
	uint16_t before = semaphore;
	int fd =
	    wl_bpf_attach_probe(prog, &(struct wl_bpf_probe){"uprobe", wl_bpf_targets[0].call,
	                                                     false, (const uint16_t *)&semaphore});
	if (fd < 0 || semaphore == before + 1)
		return fd;
	close(fd);
	return -EBADMSG;
}

static int attach_uprobe_multi(int prog)
{
	return wl_bpf_attach_uprobe_multi(prog, wl_bpf_targets[0].call);
}

static int attach_kprobe(int prog)
{
	static const char *const symbols[] = {"__x64_sys_getpgid", "__arm64_sys_getpgid",
	                                      "do_getpgid"};
	int fd = -ENOENT;
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]) && fd == -ENOENT; i++)
		fd = wl_bpf_attach_probe(prog,
		                         &(struct wl_bpf_probe){"kprobe", symbols[i], false, NULL});
	return fd;
}

static int attach_sched_switch(int prog)
{
	return wl_bpf_attach_raw(prog, "sched_switch");
}

static int attach_by_btf(int prog)
{
	return wl_bpf_attach_raw(prog, NULL);
}

static int attach_sampling(int prog)
{
	return wl_bpf_attach_sampling(prog, 200000);
}

#ifdef __aarch64__
#define SYSCALL_PREFIX "__arm64_"
#else
#define SYSCALL_PREFIX "__x64_"
#endif
static const struct kind kinds[] = {
    {"uprobe", BPF_PROG_TYPE_KPROBE, 0, 0, NULL, attach_uprobe, call_targets},
    {"uretprobe", BPF_PROG_TYPE_KPROBE, 0, 0, NULL, attach_uretprobe, call_targets},
    {"usdt_semaphore", BPF_PROG_TYPE_KPROBE, 0, 0, NULL, attach_usdt, call_targets},
    {"uprobe_multi", BPF_PROG_TYPE_KPROBE, WL_BPF_ATTACH_UPROBE_MULTI, 0, NULL, attach_uprobe_multi,
     call_targets},
    {"kprobe", BPF_PROG_TYPE_KPROBE, 0, 0, NULL, attach_kprobe, call_getpgid},
    {"raw_tracepoint", BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0, NULL, attach_sched_switch,
     sleep_a_little},
    {"tp_btf_sched_switch", BPF_PROG_TYPE_TRACING, WL_BPF_ATTACH_RAW_TP, WL_BTF_TYPEDEF,
     "btf_trace_sched_switch", attach_by_btf, sleep_a_little},
    {"tp_btf_sched_waking", BPF_PROG_TYPE_TRACING, WL_BPF_ATTACH_RAW_TP, WL_BTF_TYPEDEF,
     "btf_trace_sched_waking", attach_by_btf, sleep_a_little},
    {"tp_btf_sched_wakeup", BPF_PROG_TYPE_TRACING, WL_BPF_ATTACH_RAW_TP, WL_BTF_TYPEDEF,
     "btf_trace_sched_wakeup", attach_by_btf, sleep_a_little},
    {"tp_btf_sched_process_exec", BPF_PROG_TYPE_TRACING, WL_BPF_ATTACH_RAW_TP, WL_BTF_TYPEDEF,
     "btf_trace_sched_process_exec", NULL, NULL},
    {"fentry", BPF_PROG_TYPE_TRACING, WL_BPF_ATTACH_FENTRY, WL_BTF_FUNC,
     SYSCALL_PREFIX "sys_getpgid", attach_by_btf, call_getpgid},
    {"fexit", BPF_PROG_TYPE_TRACING, WL_BPF_ATTACH_FEXIT, WL_BTF_FUNC, SYSCALL_PREFIX "sys_getpgid",
     attach_by_btf, call_getpgid},
    {"lsm", BPF_PROG_TYPE_LSM, WL_BPF_ATTACH_LSM, WL_BTF_FUNC, "bpf_lsm_task_getpgid",
     attach_by_btf, call_getpgid},
    {"perf_event", BPF_PROG_TYPE_PERF_EVENT, 0, 0, NULL, attach_sampling, spin},
    {"cgroup_device", BPF_PROG_TYPE_CGROUP_DEVICE, 0, 0, NULL, NULL, NULL},
};

/* Sets the program's BTF id. False: the attempt is over. */
static bool find_place(struct wl_bpf *p, const struct kind *k, struct attempt *a)
{
	if (!k->btf_name)
		return true;
	if (!have_btf) {
		a->missing = "the kernel's BTF (" VMLINUX ") cannot be read here";
		return false;
	}
	int id = wl_btf_find(&btf, k->btf_kind, k->btf_name);
	if (id == -ENOENT) {
		a->missing = "the kernel's BTF does not know where it would attach";
		return false;
	}
	if (id < 0) {
		failed(a, "reading the kernel's BTF", id);
		return false;
	}
	p->btf_id = id;
	return true;
}

/* Loads the program, attaches it, acts, reads the counter, detaches. */
static void run(struct wl_bpf *p, const struct kind *k, int map, struct attempt *a)
{
	int fd = wl_bpf_load(p);
	if (fd < 0) {
		failed(a, "loading", fd);
		snprintf(a->why, sizeof(a->why), "%s", p->why);
		return;
	}
	if (k->attach) {
		int link = k->attach(fd);
		if (link < 0) {
			failed(a, "attaching", link);
		} else {
			a->attached = true;
			k->act();
			a->count = wl_bpf_count(map);
			close(link);
		}
	}
	close(fd);
}

static void try_kind(const struct kind *k, struct attempt *a)
{
	struct wl_bpf p = {.type = k->type, .attach_type = k->attach_type};
	if (!find_place(&p, k, a))
		return;
	int map = wl_bpf_counter();
	if (map < 0) {
		failed(a, "creating an array map", map);
		return;
	}
	wl_bpf_emit_count(&p, map);
	run(&p, k, map, a);
	close(map);
}

/* ---- programs that do more than count */
/* ioctl calls without tracefs: the general entry of all system calls, filtered by number */
static void try_sys_enter(void)
{
	static const struct kind k = {"tp_btf_sys_enter_ioctl",
	                              BPF_PROG_TYPE_TRACING,
	                              WL_BPF_ATTACH_RAW_TP,
	                              WL_BTF_TYPEDEF,
	                              "btf_trace_sys_enter",
	                              attach_by_btf,
	                              call_ioctl};
	struct wl_bpf p = {.type = k.type, .attach_type = k.attach_type};
	struct attempt a = {0};
	int map = -1;
	if (find_place(&p, &k, &a) && (map = wl_bpf_counter()) >= 0) {
		/* r2 = the second argument, the call's number; another one: over the counting */
		wl_bpf_emit(&p, BPF_LDX | BPF_DW | BPF_MEM, BPF_REG_2, BPF_REG_1, 8, 0);
		wl_bpf_emit(&p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 4, SYS_ioctl);
		wl_bpf_emit_count(&p, map);
		run(&p, &k, map, &a);
		close(map);
	} else if (!a.missing && !a.step) {
		failed(&a, "creating an array map", map);
	}
	say(k.name, &a);
}

/* At each switch away from a thread of ours: reads a block of our memory. */
static void try_read_user(void)
{
	static const struct kind k = {
	    "read_user_at_switch",    BPF_PROG_TYPE_TRACING, WL_BPF_ATTACH_RAW_TP, WL_BTF_TYPEDEF,
	    "btf_trace_sched_switch", attach_by_btf,         sleep_a_little};
	struct wl_bpf p = {.type = k.type, .attach_type = k.attach_type};
	struct attempt a = {0};
	uint64_t comm;
	memcpy(&comm, COMM, sizeof(comm));
	int map = -1;
	if (find_place(&p, &k, &a) && (map = wl_bpf_counter()) >= 0) {
		const uint8_t mov_x = BPF_ALU64 | BPF_MOV | BPF_X,
			      mov_k = BPF_ALU64 | BPF_MOV | BPF_K;
		/* the name of the thread that runs, which is the one being switched out */
		wl_bpf_emit(&p, mov_x, BPF_REG_1, BPF_REG_10, 0, 0);
		wl_bpf_emit(&p, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, -16);
		wl_bpf_emit(&p, mov_k, BPF_REG_2, 0, 0, 16);
		wl_bpf_emit(&p, BPF_JMP | BPF_CALL, 0, 0, 0, HELPER_GET_CURRENT_COMM);
		wl_bpf_emit(&p, BPF_LDX | BPF_DW | BPF_MEM, BPF_REG_1, BPF_REG_10, -16, 0);
		wl_bpf_emit_wide(&p, BPF_REG_2, 0, comm);
		wl_bpf_emit(&p, BPF_JMP | BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_2, 15, 0);
		wl_bpf_emit(&p, mov_x, BPF_REG_1, BPF_REG_10, 0, 0);
		wl_bpf_emit(&p, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, -24);
		wl_bpf_emit(&p, mov_k, BPF_REG_2, 0, 0, 8);
		wl_bpf_emit_wide(&p, BPF_REG_3, 0, (uintptr_t)&block);
		wl_bpf_emit(&p, BPF_JMP | BPF_CALL, 0, 0, 0, HELPER_PROBE_READ_USER);
		wl_bpf_emit(&p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 8, 0);
		wl_bpf_emit(&p, BPF_LDX | BPF_DW | BPF_MEM, BPF_REG_1, BPF_REG_10, -24, 0);
		wl_bpf_emit_wide(&p, BPF_REG_2, 0, MAGIC);
		wl_bpf_emit(&p, BPF_JMP | BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_2, 4, 0);
		wl_bpf_emit_count(&p, map);
		run(&p, &k, map, &a);
		close(map);
	} else if (!a.missing && !a.step) {
		failed(&a, "creating an array map", map);
	}
	say(k.name, &a);
}

/* A ring buffer that a uprobe fills and we read: what the daemon would do with rare events. */
static void try_ring(void)
{
	struct attempt a = {0};
	struct wl_bpf p = {.type = BPF_PROG_TYPE_KPROBE};
	int prog = -1, link = -1, map = wl_bpf_map(WL_BPF_MAP_RINGBUF, 0, 0, RING_BYTES);
	if (map < 0) {
		failed(&a, "creating the map", map);
		say("ringbuf", &a);
		return;
	}
	wl_bpf_emit_wide(&p, BPF_REG_1, 0, MAGIC);
	wl_bpf_emit(&p, BPF_STX | BPF_DW | BPF_MEM, BPF_REG_10, BPF_REG_1, -8, 0);
	wl_bpf_emit_wide(&p, BPF_REG_1, BPF_PSEUDO_MAP_FD, (uint32_t)map);
	wl_bpf_emit(&p, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0);
	wl_bpf_emit(&p, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -8);
	wl_bpf_emit(&p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, 8);
	wl_bpf_emit(&p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 0);
	wl_bpf_emit(&p, BPF_JMP | BPF_CALL, 0, 0, 0, HELPER_RINGBUF_OUTPUT);
	wl_bpf_emit_return(&p, 0);
	/* the consumer's page, the producer's page, the data; the last two only for reading */
	const uint8_t *ring = mmap(NULL, 2 * 4096 + RING_BYTES, PROT_READ, MAP_SHARED, map, 0);
	if (ring == MAP_FAILED)
		failed(&a, "mapping it", -errno);
	else if ((prog = wl_bpf_load(&p)) < 0)
		failed(&a, "loading", prog), memcpy(a.why, p.why, sizeof(a.why));
	else if ((link = attach_uprobe(prog)) < 0)
		failed(&a, "attaching", link);
	if (!a.step) {
		uint64_t value;
		call_targets();
		a.attached = true;
		/* each record: 8 bytes of header, our 8 bytes */
		uint64_t produced =
		    __atomic_load_n((const uint64_t *)(ring + 4096), __ATOMIC_ACQUIRE);
		memcpy(&value, ring + 2 * 4096 + 8, sizeof(value));
		a.count = value == MAGIC ? produced / 16 : 0;
	}
	if (link >= 0)
		close(link);
	if (prog >= 0)
		close(prog);
	if (ring != MAP_FAILED)
		munmap((void *)ring, 2 * 4096 + RING_BYTES);
	close(map);
	say("ringbuf", &a);
}

static void try_maps(void)
{
	struct attempt a = {0};
	int fd = wl_bpf_map(WL_BPF_MAP_USER_RINGBUF, 0, 0, RING_BYTES);
	if (fd < 0)
		failed(&a, "creating the map", fd);
	else
		close(fd);
	say("user_ringbuf", &a);
	a = (struct attempt){0};
	fd = wl_bpf_map_task_storage();
	if (fd < 0)
		failed(&a, "creating the map", fd);
	else
		close(fd);
	say("task_storage", &a);
}

/* A program for a member of a kernel structure of functions. It is not registered. */
static void try_struct_ops(const char *kind, const char *structure, const char *member)
{
	struct attempt a = {0};
	struct wl_bpf p = {.type = BPF_PROG_TYPE_STRUCT_OPS};
	struct kind place = {.btf_kind = WL_BTF_STRUCT, .btf_name = structure};
	if (find_place(&p, &place, &a)) {
		int index = wl_btf_member(&btf, p.btf_id, member);
		p.attach_type = index < 0 ? 0 : (uint32_t)index;
		wl_bpf_emit_return(&p, 2);
		if (index < 0)
			failed(&a, "finding the member in BTF", index);
		else
			run(&p, &place, -1, &a);
	}
	say(kind, &a);
}

static void try_tracepoint_ioctl(void)
{
	static const char *const roots[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	struct attempt a = {0};
	int id = -1, map = wl_bpf_counter();
	for (size_t i = 0; i < 2 && id < 0; i++) {
		char path[96];
		snprintf(path, sizeof(path), "%s/events/syscalls/sys_enter_ioctl/id", roots[i]);
		FILE *f = fopen(path, "re");
		if (f && fscanf(f, "%d", &id) != 1)
			id = -1;
		if (f)
			fclose(f);
	}
	wl_fact_flag("telemetry.tracefs_mounted", id >= 0, "whether sys_enter_ioctl is in it");
	struct wl_bpf p = {.type = BPF_PROG_TYPE_TRACEPOINT};
	if (id < 0) {
		a.missing = "tracefs is not mounted, or has no system call events";
	} else if (map < 0) {
		failed(&a, "creating an array map", map);
	} else {
		wl_bpf_emit_count(&p, map);
		int prog = wl_bpf_load(&p);
		int link = prog < 0 ? prog : wl_bpf_attach_tracepoint(prog, id);
		if (link < 0) {
			failed(&a, prog < 0 ? "loading" : "attaching", link);
			memcpy(a.why, p.why, sizeof(a.why));
		} else {
			call_ioctl();
			a.attached = true;
			a.count = wl_bpf_count(map);
			close(link);
		}
		if (prog >= 0)
			close(prog);
	}
	if (map >= 0)
		close(map);
	say("tracepoint_ioctl", &a);
}

/* ---- rights */
static int set_capabilities(uint64_t caps)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {
	    {.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
	    {.effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32)}};
	return syscall(SYS_capset, &h, d) == 0 ? 0 : -errno;
}

/* The same in a child that has only those capabilities. */
static void try_with(const char *id, uint64_t caps, const char *note)
{
	static const char *const names[] = {"tp_btf_sched_waking", "uprobe", "uprobe_multi"};
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		wl_fact_bound(10);
		int err = set_capabilities(caps);
		if (err) {
			wl_fact_skip(id, "this process cannot set its capabilities: %s",
			             strerror(-err));
			_exit(0);
		}
		char text[256] = "";
		for (size_t n = 0; n < 3; n++)
			for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
				struct attempt a = {0};
				if (strcmp(kinds[i].name, names[n]) != 0)
					continue;
				try_kind(&kinds[i], &a);
				size_t at = strlen(text);
				snprintf(text + at, sizeof(text) - at, "%s%s %s", n ? ", " : "",
				         names[n],
				         a.missing ? "not asked"
				         : a.step  ? strerrorname_np(-a.err) ?: "error"
				         : a.count ? "works"
				                   : "counts nothing");
			}
		wl_fact_text(id, text, "%s", note);
		_exit(0);
	}
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		wl_fact_skip(id, "the child that drops its capabilities failed");
}

/* ---- settings, only read */
static bool read_line(const char *path, char *out, size_t len)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(out, (int)len, f);
	if (f)
		fclose(f);
	if (ok)
		out[strcspn(out, "\n")] = '\0';
	return ok;
}

static void say_setting(const char *id, const char *path, const char *note)
{
	char line[256];
	if (read_line(path, line, sizeof(line)))
		wl_fact_text(id, line, "%s; %s", note, path);
	else
		wl_fact_skip(id, "%s cannot be read here", path);
}

static void say_settings(void)
{
	char line[256];
	struct stat st;
	uint64_t caps = 0;
	FILE *f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %lx", (unsigned long *)&caps) == 1)
			break;
	if (f)
		fclose(f);
	wl_fact_flag("telemetry.cap_bpf", caps >> CAP_BPF & 1, "effective; uid %d", (int)getuid());
	wl_fact_flag("telemetry.cap_perfmon", caps >> CAP_PERFMON & 1, "effective");
	wl_fact_flag("telemetry.btf", have_btf, VMLINUX);
	wl_fact_flag("telemetry.sched_ext", stat("/sys/kernel/sched_ext", &st) == 0,
	             "/sys/kernel/sched_ext is there");
	say_setting("telemetry.unprivileged_bpf_disabled",
	            "/proc/sys/kernel/unprivileged_bpf_disabled", "0: allowed, 1 and 2: not");
	say_setting("telemetry.perf_event_paranoid", "/proc/sys/kernel/perf_event_paranoid",
	            "above 2 even own processes need rights");
	say_setting("telemetry.lockdown", "/sys/kernel/security/lockdown",
	            "[none] in brackets: not locked down");
	say_setting("telemetry.lsm_list", "/sys/kernel/security/lsm",
	            "LSM programs run only if bpf is in it");
}

int main(void)
{
	void *blob = NULL;
	size_t len;
	wl_fact_bound(LIMIT_S);
	prctl(PR_SET_NAME, COMM);
	have_btf = wl_btf_read(VMLINUX, &blob, &len) == 0 && wl_btf_open(&btf, blob, len) == 0;
	say_settings();
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct attempt a = {0};
		try_kind(&kinds[i], &a);
		say(kinds[i].name, &a);
	}
	try_sys_enter();
	try_read_user();
	try_ring();
	try_maps();
	try_struct_ops("struct_ops_tcp", "tcp_congestion_ops", "ssthresh");
	try_struct_ops("struct_ops_sched_ext", "sched_ext_ops", "select_cpu");
	try_tracepoint_ioctl();
	try_with("telemetry.bpf_without_rights", 0, "with no capability at all");
	try_with("telemetry.bpf_with_bpf_perfmon", 1ull << CAP_BPF | 1ull << CAP_PERFMON,
	         "with CAP_BPF and CAP_PERFMON only");
	free(blob);
	return 0;
}
