// SPDX-License-Identifier: Apache-2.0
/*
 * Memory operations in the engine: what a closed one holds back and what not, who may open it,
 * what becomes of those that nobody opens, and whether a waiting process takes its turns beside
 * another one. tests/clients/api_memop.c has the calls, conditions and graphs.
 */
#include <sys/mman.h>

#include "common/atomic.h"
#include "tests/harness.h"
#include "tests/unit/sg_child.h"

#define OK(call) CHILD_CHECK((call) == CUDA_SUCCESS)
#define IS(code, call) CHILD_CHECK((call) == (code))
#define TIMES "SOFTGPU_TIMES=ms=1ms,long=3ms,short=10us"

static const char *const time_mode[] = {"SOFTGPU_MODE=time", TIMES, NULL};
static const char *const fast_mode[] = {"SOFTGPU_MODE=fast", NULL};

/* Shared with every child. */
static struct {
	rein_a32 gate, progress, ready, enough;
} * page;

static void map_page(void)
{
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
}

/* [write progress; wait until the gate has a value]; 0: without that part */
struct point {
	struct sg_cmd cmd;
	uint32_t progress, open;
	bool written;
};

static CUresult step(struct sg_cmd *c)
{
	struct point *p = (struct point *)c;
	if (p->progress && !p->written)
		rein_store_release(&page->progress, p->progress);
	p->written = true;
	if (p->open && rein_load_acquire(&page->gate) != p->open)
		return CUDA_ERROR_NOT_READY;
	return CUDA_SUCCESS;
}

static void put_point(struct sg_stream *s, uint32_t progress, uint32_t open)
{
	struct point *p = calloc(1, sizeof(*p));
	CHILD_CHECK(p);
	p->cmd.kind = SG_CMD_MEMOP;
	p->cmd.step = step;
	p->cmd.memops = 2;
	p->progress = progress;
	p->open = open;
	OK(sg_submit(s, &p->cmd));
}

static struct sg_stream *new_stream(struct sg_domain *d)
{
	struct sg_stream *s;
	OK(sg_stream_new(d, SG_STREAM_NONBLOCKING, 0, &s));
	return s;
}

/* ---- order */

static void order(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *held = new_stream(d), *other = new_stream(d);
	struct sg_event *before = sg_event_new(), *after = sg_event_new();
	struct sg_stats st;
	child_put(held, SG_CMD_KERNEL, "long");
	OK(sg_event_record(before, held));
	put_point(held, 1, 1);
	child_put(held, SG_CMD_KERNEL, "short");
	put_point(held, 2, 0);
	OK(sg_event_record(after, held));

	while (!rein_load_acquire(&page->progress)) /* written after what is before it */
		usleep(100);
	OK(sg_event_query(before));
	for (int i = 0; i < 20; i++) { /* the rest waits, while another stream goes on */
		child_put(other, SG_CMD_KERNEL, "short");
		OK(sg_stream_sync(other));
		CHILD_CHECK(rein_load_acquire(&page->progress) == 1);
		IS(CUDA_ERROR_NOT_READY, sg_event_query(after));
	}
	rein_store_release(&page->gate, 1);
	OK(sg_stream_sync(held));
	CHILD_CHECK(rein_load_acquire(&page->progress) == 2);
	sg_engine_stats(&st);
	CHILD_CHECK(st.memops == 4 && st.kernels == 22);
	sg_event_free(before);
	sg_event_free(after);
	sg_domain_free(d);
}

TEST(a_point_holds_its_stream_and_no_other)
{
	map_page();
	child_run(order, time_mode);
	memset((void *)page, 0, sizeof(*page));
	child_run(order, fast_mode);
}
TEST_END

static void wait_for_others(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = new_stream(d);
	put_point(s, 0, 1);
	IS(CUDA_ERROR_NOT_READY, sg_stream_query(s));
	rein_store_release(&page->ready, 1);
	OK(sg_stream_sync(s));
	sg_domain_free(d);
}

TEST(another_process_opens)
{
	map_page();
	pid_t pid = child_start(wait_for_others, time_mode);
	while (!rein_load_acquire(&page->ready))
		usleep(1000);
	rein_store_release(&page->gate, 1);
	ck_assert_int_eq(child_wait(pid), 0);
}
TEST_END

/* An open point costs its time and nothing else: what follows starts that much later. */
static void costs(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = new_stream(d);
	struct sg_event *a = sg_event_new(), *b = sg_event_new();
	double ms;
	rein_store_release(&page->gate, 0);
	put_point(s, 0, 1); /* all is submitted before the first kernel may start */
	child_put(s, SG_CMD_KERNEL, "short");
	OK(sg_event_record(a, s));
	for (int i = 0; i < 10; i++) {
		put_point(s, 1, 1);
		child_put(s, SG_CMD_KERNEL, "ms");
	}
	OK(sg_event_record(b, s));
	usleep(1000);
	rein_store_release(&page->gate, 1);
	OK(sg_event_sync(b));
	OK(sg_event_elapsed(a, b, &ms));
	CHILD_CHECK(ms > 10.0699 && ms < 10.0701); /* 10 × (2 × 3 us + 1 us + 1 ms) */
	sg_event_free(a);
	sg_event_free(b);
	sg_domain_free(d);
}

TEST(an_open_point_costs_its_time)
{
	static const char *const env[] = {"SOFTGPU_MODE=time", TIMES, "SOFTGPU_MEMOP=3us",
	                                  "SOFTGPU_KERNEL_GAP=1us", NULL};
	map_page();
	child_run(costs, env);
}
TEST_END

/* ---- points that nobody opens */

static void leave_waiting(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = new_stream(d);
	put_point(s, 1, 1);
	put_point(s, 2, 0);
	sg_stream_free(s); /* returns at once */
	sg_domain_free(d); /* gives up what waits, and what comes after it */
	CHILD_CHECK(rein_load_acquire(&page->progress) == 1);
	d = child_domain();
	put_point(new_stream(d), 0, 1);
	/* and the process ends with one more */
}

TEST(closed_points_do_not_hang_who_leaves)
{
	map_page();
	child_run(leave_waiting, time_mode);
	child_run(leave_waiting, fast_mode);
}
TEST_END

/* ---- time slices between processes */

/* Waits at a point until the gate opens, with nothing else to do. */
static void be_gated(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = new_stream(d);
	child_put(s, SG_CMD_KERNEL, "short");
	put_point(s, 1, 1);
	child_put(s, SG_CMD_KERNEL, "short");
	while (!rein_load_acquire(&page->progress))
		usleep(100);
	rein_store_release(&page->ready, 1);
	OK(sg_stream_sync(s));
	sg_domain_free(d);
}

#define QUEUED 8

/* Has kernels of 1 ms queued without a gap, at least 50, until told to end. */
static void work_beside(void)
{
	struct sg_domain *d = child_domain();
	struct sg_stream *s = new_stream(d);
	struct sg_event *e[QUEUED];
	for (int i = 0; i < QUEUED; i++)
		e[i] = sg_event_new();
	for (unsigned i = 0; i < 50 || !rein_load_acquire(&page->enough); i++) {
		OK(sg_event_sync(e[i % QUEUED]));
		child_put(s, SG_CMD_KERNEL, "ms");
		OK(sg_event_record(e[i % QUEUED], s));
	}
	OK(sg_stream_sync(s));
	for (int i = 0; i < QUEUED; i++)
		sg_event_free(e[i]);
	sg_domain_free(d);
}

/* How often the device went from the working process to the waiting one and back. */
static unsigned turns(const char *owners, pid_t waits, pid_t works)
{
	FILE *f = fopen(owners, "r");
	ck_assert_ptr_nonnull(f);
	unsigned n = 0;
	unsigned long long start, end;
	for (int pid, before = 0, last = 0; fscanf(f, "%d %llu %llu", &pid, &start, &end) == 3;) {
		if (pid == last)
			continue;
		n += before == works && last == waits && pid == works;
		before = last;
		last = pid;
	}
	fclose(f);
	return n;
}

/* The same, while it works; `want`: until there are so many. How long a turn lasts depends on when
 * the host wakes whom, that there are turns does not. */
static unsigned turns_of_a_waiting_process(const char *keeps, unsigned want)
{
	char owners[128], owners_env[160];
	const char *const env[] = {"SOFTGPU_MODE=time",      TIMES, "SOFTGPU_TIMESLICE=2ms",
	                           "SOFTGPU_SWITCH=0us",     keeps, owners_env,
	                           "SOFTGPU_KERNEL_GAP=0us", NULL};
	child_file(owners, sizeof(owners), "owners");
	snprintf(owners_env, sizeof(owners_env), "SOFTGPU_OWNER_LOG=%s", owners);
	map_page();
	pid_t gated = child_start(be_gated, env);
	while (!rein_load_acquire(&page->ready))
		usleep(1000);
	pid_t works = child_start(work_beside, env);
	for (int i = 0; i < 20000 && want && turns(owners, gated, works) < want; i++)
		usleep(1000);
	rein_store_release(&page->enough, 1);
	ck_assert_int_eq(child_wait(works), 0);
	unsigned n = turns(owners, gated, works);
	rein_store_release(&page->gate, 1);
	ck_assert_int_eq(child_wait(gated), 0);
	unlink(owners);
	return n;
}

TEST(a_waiting_process_gives_up_its_time_slice)
{
	ck_assert_uint_eq(turns_of_a_waiting_process("SOFTGPU_DEVICES=1", 0), 0);
}
TEST_END

TEST(the_other_variant_keeps_it)
{
	ck_assert_uint_ge(turns_of_a_waiting_process("SOFTGPU_WAIT_KEEPS_SLICE=1", 3), 3);
}
TEST_END

TESTS("memory operations", a_point_holds_its_stream_and_no_other, another_process_opens,
      an_open_point_costs_its_time, closed_points_do_not_hang_who_leaves,
      a_waiting_process_gives_up_its_time_slice, the_other_variant_keeps_it)
