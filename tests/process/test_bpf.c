// SPDX-License-Identifier: Apache-2.0
/*
 * test_bpf.c: the BPF programs by themselves, without a daemon: processes of ours are watched, and
 * what is reported is compared with what they did, by their own clocks and counts.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/atomic.h"
#include "common/clock.h"
#include "profiler/bpf/bpf.h"
#include "profiler/bpf/outsider.h"
#include "tests/harness.h"

#define VMLINUX "/sys/kernel/btf/vmlinux"
#define RECORDS 65536
#define CLIENT 9
#define GAP_NS 100000u /* between two looks at the clock: it had not the CPU */

static struct rein_bpf *bpf;
static struct rein_trace_record record[RECORDS];
static unsigned records;
static char named[64]; /* the name that came with `wanted_pid`, last */
static uint32_t wanted_pid;

static __thread struct rein_doing doing;

/* What parent and child tell each other. */
static struct shared {
	rein_a32 go, done;
	rein_a64 begin_ns, gaps_ns;
	rein_a32 thread;
} * shared;

static void keep(void *arg, const struct rein_trace_record *r,
                 const struct rein_bpf_named names[REIN_BPF_NAMES])
{
	for (unsigned i = 0; i < REIN_BPF_NAMES; i++)
		if (wanted_pid && names[i].pid == wanted_pid && names[i].comm[0])
			snprintf(named, sizeof(named), "%.16s", names[i].comm);
	if (records < RECORDS)
		record[records++] = *r;
}

static const struct rein_bpf_sink sink = {keep, NULL};

static void begin(void)
{
	char why[256] = "";
	records = 0;
	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	ck_assert_msg(rein_bpf_open(&bpf, why, sizeof(why)) == 0, "%s", why);
	ck_assert_uint_eq(rein_bpf_sees(bpf), REIN_SEES_OFFCPU);
}

static void end(void)
{
	rein_bpf_close(bpf);
	bpf = NULL;
}

static int64_t doing_offset(void)
{
	return (int64_t)((intptr_t)&doing - (intptr_t)__builtin_thread_pointer());
}

/* Ends with us. */
static pid_t child(void (*fn)(void))
{
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!rein_load_acquire(&shared->go))
		usleep(200);
	fn();
	rein_store_release(&shared->done, 1);
	for (;;)
		pause();
}

static bool is_done(void *unused)
{
	bool done =
	    rein_load_acquire(&shared->done); /* first: its last record is to be among them */
	rein_bpf_take(bpf, &sink, rein_now_ns());
	return done;
}

static void finish(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

/* A CPU that we may use. */
static int some_cpu(void)
{
	cpu_set_t set;
	int cpu = 0;
	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

/* ---------------------------------------------------------------- who has the CPU */

static int hogged_cpu;

static void spin_and_measure(void)
{
	pin(hogged_cpu);
	rein_store_relaxed(&shared->thread, (uint32_t)syscall(SYS_gettid));
	uint64_t last_ns = rein_now_ns(), until_ns = last_ns + 400 * REIN_MS, gaps_ns = 0;
	rein_store_release(&shared->begin_ns, last_ns);
	while (last_ns < until_ns) {
		uint64_t now_ns = rein_now_ns();
		if (now_ns - last_ns > GAP_NS)
			gaps_ns += now_ns - last_ns;
		last_ns = now_ns;
	}
	rein_store_release(&shared->gaps_ns, gaps_ns);
}

static void hog(void)
{
	pin(hogged_cpu);
	prctl(PR_SET_NAME, "the hog");
	(void)setpriority(PRIO_PROCESS, 0,
	                  -15); /* whoever else is on that CPU is not to be blamed */
	for (;;)
		(void)rein_now_ns();
}

/* Compares what was recorded with the subject's own clock; returns for how long the hog is blamed.
 */
static uint64_t judge_gaps(pid_t other)
{
	uint64_t sum_ns = 0, blamed_ns = 0;
	uint64_t gaps_ns = rein_load_acquire(&shared->gaps_ns);
	for (unsigned i = 0; i < records; i++) {
		const struct rein_trace_record *r = &record[i];
		ck_assert_uint_eq(r->kind, REIN_TRACE_OFFCPU);
		ck_assert_uint_eq(r->stamp, CLIENT);
		ck_assert_uint_le(r->begin, r->end);
		if (r->thread != rein_load_relaxed(&shared->thread) ||
		    r->begin < rein_load_relaxed(&shared->begin_ns) || r->a)
			continue;
		ck_assert_uint_eq(r->stream, (unsigned)hogged_cpu);
		ck_assert_uint_eq(r->result, REIN_PHASE_NONE);
		sum_ns += r->end - r->begin > GAP_NS ? r->end - r->begin : 0;
		blamed_ns += r->b >> 32 == (uint64_t)other ? r->end - r->begin : 0;
	}
	/* what the hypervisor takes is in the gaps only */
	ck_assert_msg(sum_ns <= gaps_ns + gaps_ns / 10 + 2 * REIN_MS &&
	                  sum_ns + sum_ns / 10 + 40 * REIN_MS >= gaps_ns,
	              "off the CPU for %llu ns, by its own clock %llu", (unsigned long long)sum_ns,
	              (unsigned long long)gaps_ns);
	return blamed_ns;
}

static uint64_t try_hog(void)
{
	begin();
	hogged_cpu = some_cpu();
	pid_t subject = child(spin_and_measure), other = child(hog);
	wanted_pid = (uint32_t)other;
	ck_assert_int_ge(rein_bpf_join(bpf, subject, CLIENT), 0);
	rein_store_release(&shared->go, 1);
	ck_assert(eventually(is_done, NULL, 20000));
	uint64_t blamed_ns = judge_gaps(other);
	finish(subject);
	finish(other);
	end();
	return blamed_ns;
}

/* On a busy machine others may have that CPU for longer, each time. */
TEST(a_hog_has_a_name_and_a_length)
{
	uint64_t blamed_ns = 0;
	for (int i = 0; i < 8 && blamed_ns < GAP_NS; i++)
		blamed_ns = try_hog();
	ck_assert_uint_ge(blamed_ns, GAP_NS);
	if (named[0]) /* else it never was the last before it, and /proc is asked */
		ck_assert_str_eq(named, "the hog");
}
TEST_END

/* For how long it waited before it got its turn on that CPU, at least `least_ns` at a time, and for
 * how long of that who had the CPU was said to be that process. */
static uint64_t waited(int cpu, uint64_t least_ns, pid_t other, uint64_t *blamed_ns)
{
	uint64_t sum_ns = *blamed_ns = 0;
	for (unsigned i = 0; i < records; i++) {
		const struct rein_trace_record *r = &record[i];
		uint64_t ns = r->end - (r->a ? r->a : r->begin);
		if (r->thread != rein_load_relaxed(&shared->thread) || ns < least_ns ||
		    r->stream != (unsigned)cpu)
			continue;
		sum_ns += ns;
		*blamed_ns += r->b >> 32 == (uint64_t)other ? ns : 0;
	}
	return sum_ns;
}

static int other_cpu(int than)
{
	cpu_set_t set;
	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (cpu != than && CPU_ISSET(cpu, &set))
			return cpu;
	return -1;
}

static void spin_until_told(void)
{
	pin(hogged_cpu);
	(void)setpriority(PRIO_PROCESS, 0, -10); /* less than the hog, more than whoever else */
	rein_store_release(&shared->thread, (uint32_t)syscall(SYS_gettid));
	while (!rein_load_acquire(&shared->begin_ns))
		;
}

static bool try_moved(int elsewhere)
{
	uint64_t blamed_ns, sum_ns;
	cpu_set_t set;
	begin();
	hogged_cpu = some_cpu();
	pid_t subject = child(spin_until_told), other = child(hog);
	ck_assert_int_ge(rein_bpf_join(bpf, subject, CLIENT), 0);
	rein_store_release(&shared->go, 1);
	usleep(2000);
	(void)setpriority(PRIO_PROCESS, (id_t)other, -20); /* it has set its own by now */
	for (int i = 0; i < 20; i++) {
		usleep(20000); /* most of it the subject waits for the hog's CPU */
		CPU_ZERO(&set);
		CPU_SET(elsewhere, &set);
		(void)sched_setaffinity(subject, sizeof(set), &set);
		usleep(3000);
		CPU_ZERO(&set);
		CPU_SET(hogged_cpu, &set);
		(void)sched_setaffinity(subject, sizeof(set), &set);
	}
	rein_store_release(&shared->begin_ns, 1);
	ck_assert(eventually(is_done, NULL, 20000));
	sum_ns = waited(elsewhere, REIN_MS / 2, other, &blamed_ns);
	finish(subject);
	finish(other);
	end();
	return sum_ns > 2 * REIN_MS && blamed_ns > sum_ns / 4; /* it waits there as well */
}

/* Who kept it waiting was on the CPU where it waited, not on the one where it got its turn. */
TEST(a_thread_that_is_moved_while_it_waits)
{
	bool blamed = false;
	int elsewhere = other_cpu(some_cpu());
	if (elsewhere < 0) {
		printf("not tried: one CPU\n");
		return;
	}
	for (int i = 0; i < 8 && !blamed; i++)
		blamed = try_moved(elsewhere);
	ck_assert(blamed);
}
TEST_END

/* How long the thread could have run and did not, by the scheduler's own count. */
static uint64_t run_delay_ns(void)
{
	unsigned long long ran, waited = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "re");
	if (!f || fscanf(f, "%llu %llu", &ran, &waited) != 2)
		waited = 0;
	if (f)
		fclose(f);
	return waited;
}

static void work_and_sleep(void)
{
	pin(hogged_cpu);
	rein_store_relaxed(&shared->thread, (uint32_t)syscall(SYS_gettid));
	uint64_t before_ns = run_delay_ns(), until_ns = rein_now_ns() + 500 * REIN_MS;
	rein_store_release(&shared->begin_ns, rein_now_ns());
	while (rein_now_ns() < until_ns) {
		uint64_t rest_ns = rein_now_ns() + 2 * REIN_MS;
		usleep(1000);
		while (rein_now_ns() < rest_ns)
			;
	}
	rein_store_release(&shared->gaps_ns, run_delay_ns() - before_ns);
}

TEST(waits_add_up_to_the_schedulers_count)
{
	uint64_t sum_ns = 0;
	begin();
	hogged_cpu = some_cpu();
	pid_t subject = child(work_and_sleep), other = child(hog);
	ck_assert_int_ge(rein_bpf_join(bpf, subject, CLIENT), 0);
	rein_store_release(&shared->go, 1);
	ck_assert(eventually(is_done, NULL, 20000));
	for (unsigned i = 0; i < records; i++) {
		const struct rein_trace_record *r = &record[i];
		if (r->thread == rein_load_relaxed(&shared->thread) &&
		    r->begin >= rein_load_relaxed(&shared->begin_ns))
			sum_ns += r->end - (r->a ? r->a : r->begin);
	}
	uint64_t count_ns = rein_load_acquire(&shared->gaps_ns);
	if (!count_ns)
		printf("not compared: this kernel does not count it\n");
	else /* short waits are not recorded */
		ck_assert_msg(sum_ns <= count_ns + count_ns / 20 + 2 * REIN_MS &&
		                  sum_ns + count_ns / 20 + 10 * REIN_MS >= count_ns,
		              "%llu ns recorded, %llu by the scheduler", (unsigned long long)sum_ns,
		              (unsigned long long)count_ns);
	finish(subject);
	finish(other);
	end();
}
TEST_END

/* ---------------------------------------------------------------- what it waits for, who wakes it
 */

static int to_child[2];

static void sleep_in_reads(void)
{
	char c;
	doing = (struct rein_doing){.request = 77, .phase = REIN_PHASE_GATE, .holder = 5};
	while (read(to_child[0], &c, 1) == 1 && c != 'q')
		;
}

TEST(a_sleeper_says_why_and_its_waker_is_named)
{
	unsigned right = 0, slept = 0;
	begin();
	ck_assert_int_eq(pipe2(to_child, O_CLOEXEC), 0);
	pid_t subject = child(sleep_in_reads);
	int slot = rein_bpf_join(bpf, subject, CLIENT);
	ck_assert_int_ge(slot, 0);
	rein_bpf_doing(bpf, slot, doing_offset());
	rein_store_release(&shared->go, 1);
	for (int i = 0; i < 21; i++) {
		usleep(10000);
		ck_assert_int_eq(write(to_child[1], i < 20 ? "x" : "q", 1), 1);
	}
	ck_assert(eventually(is_done, NULL, 20000));
	for (unsigned i = 0; i < records; i++) {
		const struct rein_trace_record *r = &record[i];
		if (r->result != REIN_PHASE_GATE || !r->a || r->a - r->begin < 5 * REIN_MS)
			continue;
		slept++;
		ck_assert_uint_eq(r->func, 77);
		ck_assert_uint_eq(r->entry, 5);
		ck_assert_uint_le(r->a, r->end);
		right += (r->b & 0xffffffff) == (uint64_t)getpid() &&
		         r->number == (uint32_t)syscall(SYS_gettid);
	}
	ck_assert_uint_ge(slept, 8); /* some of the 20 are too soon on a busy machine */
	ck_assert_uint_eq(right, slept);
	finish(subject);
	close(to_child[0]);
	close(to_child[1]);
	end();
}
TEST_END

/* ---------------------------------------------------------------- clients that lie, or are many */

static void nap_a_little(void)
{
	for (int i = 0; i < 10; i++)
		usleep(500);
}

TEST(whatever_address_a_client_tells)
{
	const int64_t lies[] = {1,         -1,          3,          INT64_MAX,      INT64_MIN,
	                        -4096,     1 << 30,     -(1 << 30), 0x7fffffffffff, -0x7fffffffffff,
	                        1ll << 62, -(1ll << 62)};
	for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		begin();
		pid_t subject = child(nap_a_little);
		int slot = rein_bpf_join(bpf, subject, CLIENT);
		rein_bpf_doing(bpf, slot, lies[i]);
		rein_store_release(&shared->go, 1);
		ck_assert(eventually(is_done, NULL, 20000));
		for (unsigned j = 0; j < records; j++) {
			ck_assert_uint_eq(record[j].stamp, CLIENT);
			ck_assert_uint_lt(record[j].result, REIN_PHASES);
		}
		finish(subject);
		end();
	}
}
TEST_END

static void *yield_for_ever(void *unused)
{
	prctl(PR_SET_TIMERSLACK, 1);
	doing = (struct rein_doing){.phase = REIN_PHASE_SYNC};
	while (!rein_load_acquire(&shared->done))
		usleep(20);
	return NULL;
}

static void crowd(void)
{
	pthread_t thread[8];
	for (unsigned i = 0; i < 8; i++)
		(void)pthread_create(&thread[i], NULL, yield_for_ever, NULL);
	usleep(300000);
}

/* The limit is a client's own: what is beyond is counted, and the other one's records come. */
TEST(a_client_has_its_share_of_the_ring)
{
	unsigned others = 0, its = 0;
	begin();
	ck_assert_int_eq(pipe2(to_child, O_CLOEXEC), 0);
	pid_t many = child(crowd), one = child(sleep_in_reads);
	int slot = rein_bpf_join(bpf, many, CLIENT), other = rein_bpf_join(bpf, one, CLIENT + 1);
	rein_bpf_doing(bpf, slot, doing_offset());
	rein_bpf_doing(bpf, other, doing_offset());
	uint64_t begin_ns = rein_now_ns();
	rein_store_release(&shared->go, 1);
	for (int i = 0; i < 20; i++) {
		usleep(10000);
		ck_assert_int_eq(write(to_child[1], "x", 1), 1);
		rein_bpf_take(bpf, &sink, rein_now_ns());
	}
	ck_assert(eventually(is_done, NULL, 20000));
	uint64_t windows = (rein_now_ns() - begin_ns) / REIN_BPF_SHARE_NS + 2;
	for (unsigned i = 0; i < records; i++) {
		others += record[i].stamp == CLIENT + 1 && record[i].result == REIN_PHASE_GATE;
		its += record[i].stamp == CLIENT;
	}
	ck_assert_uint_ge(others, 15);
	ck_assert_uint_eq(rein_bpf_lost(bpf, other), 0);
	ck_assert_uint_gt(its, 0);
	ck_assert_uint_le(its, windows * (REIN_BPF_SHARE + 16)); /* two CPUs may count one as one */
	if (!rein_bpf_lost(bpf, slot))
		printf("this machine is too slow to reach the limit: %u records\n", its);
	finish(many);
	finish(one);
	close(to_child[0]);
	close(to_child[1]);
	end();
}
TEST_END

TEST(who_has_left_is_seen_no_more)
{
	begin();
	pid_t subject = child(nap_a_little);
	int slot = rein_bpf_join(bpf, subject, CLIENT);
	rein_bpf_leave(bpf, slot);
	rein_store_release(&shared->go, 1);
	ck_assert(eventually(is_done, NULL, 20000));
	ck_assert_uint_eq(records, 0);
	finish(subject);
	end();
}
TEST_END

TEST(there_is_room_for_as_many_clients_as_the_daemon_takes)
{
	begin();
	for (unsigned i = 0; i < REIN_BPF_CLIENTS; i++)
		ck_assert_int_eq(rein_bpf_join(bpf, (pid_t)(1000000 + i), i + 1), (int)i);
	ck_assert_int_eq(rein_bpf_join(bpf, 3000000, 1), -ENOSPC);
	rein_bpf_leave(bpf, 500);
	ck_assert_int_eq(rein_bpf_join(bpf, 3000000, 1), 500);
	end();
}
TEST_END

/* ---------------------------------------------------------------- outsiders */

#define IOCTLS 100

static void call_devices(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), pipes[2];
	(void)!pipe2(pipes, O_CLOEXEC);
	for (int i = 0; i < IOCTLS; i++) {
		(void)ioctl(null, 0, 0);
		(void)ioctl(pipes[0], 0, 0); /* of another kind */
		(void)ioctl(-1, 0, 0);
		(void)ioctl(1 << 20, 0, 0);
	}
}

static bool exit_is_seen(void *outsiders)
{
	rein_outsiders_take(outsiders, &sink);
	for (unsigned i = 0; i < records; i++)
		if (record[i].result == REIN_OUTSIDER_EXIT)
			return true;
	return false;
}

static uint64_t count(pid_t pid, unsigned what)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < records; i++)
		if (record[i].thread == (uint32_t)pid && record[i].result == what) {
			ck_assert_uint_eq(record[i].kind, REIN_TRACE_OUTSIDER);
			ck_assert_uint_eq(record[i].stamp, 0);
			n += record[i].a;
		}
	return n;
}

/* /dev/null stands for the driver's devices. */
TEST(calls_to_the_drivers_devices_are_counted)
{
	char why[256] = "", path[96];
	struct rein_outsiders *o = NULL;
	begin();
	snprintf(path, sizeof(path), "%s/devices", temp_dir());
	FILE *f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fputs("Character devices:\n  1 nvidia\n  5 tty\n", f);
	fclose(f);
	int slots = bpf_map_create(BPF_MAP_TYPE_HASH, "slots", 4, 4, REIN_BPF_CLIENTS, NULL);
	ck_assert_msg(rein_outsiders_open(&o, slots, path, why, sizeof(why)) == 0, "%s", why);
	pid_t subject = child(call_devices);
	wanted_pid = (uint32_t)subject;
	prctl(PR_SET_NAME, "we"); /* not its name */
	rein_store_release(&shared->go, 1);
	ck_assert(eventually(is_done, NULL, 20000));
	finish(subject);
	ck_assert(eventually(exit_is_seen, o, 20000));
	ck_assert_uint_eq(count(subject, REIN_OUTSIDER_IOCTL), IOCTLS);
	ck_assert_uint_eq(count(subject, REIN_OUTSIDER_EXIT), 1);
	ck_assert_str_ne(named, "");
	/* a client's are its own business */
	records = 0;
	uint32_t self = (uint32_t)getpid(), slot = 0;
	ck_assert_int_eq(bpf_map_update_elem(slots, &self, &slot, BPF_ANY), 0);
	call_devices();
	rein_outsiders_take(o, &sink);
	ck_assert_uint_eq(count(getpid(), REIN_OUTSIDER_IOCTL), 0);
	rein_outsiders_close(o);
	close(slots);
	end();
}
TEST_END

int main(void)
{
	const TTest *const tests[] = {
	    a_hog_has_a_name_and_a_length,
	    a_thread_that_is_moved_while_it_waits,
	    waits_add_up_to_the_schedulers_count,
	    a_sleeper_says_why_and_its_waker_is_named,
	    whatever_address_a_client_tells,
	    a_client_has_its_share_of_the_ring,
	    who_has_left_is_seen_no_more,
	    there_is_room_for_as_many_clients_as_the_daemon_takes,
	    calls_to_the_drivers_devices_are_counted,
	};
	char why[256];
	int err = rein_bpf_open(&bpf, why, sizeof(why));
	if (err) {
		/* the kernel has not even looked at them; EACCES, EINVAL: it has, and they are
		 * wrong */
		bool refused = err == -EPERM || err == -ENOTSUP || access(VMLINUX, R_OK) != 0;
		printf("%s: %s (%d)\n", refused ? "skipped" : "failed", why, err);
		return refused ? 77 : 1;
	}
	end();
	return harness_run("BPF programs", tests, sizeof(tests) / sizeof(tests[0]));
}
