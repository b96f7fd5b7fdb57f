// SPDX-License-Identifier: Apache-2.0
/* test_rmtable.c: what is learned from the resource manager's ioctls, on buffers made here. */
#include "tests/harness.h"
#include "tests/unit/rm_calls.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "interpose/rmtable.h"

#define CTL 5 /* the descriptor */

static struct rein_rm_table t;
static struct rein_rm_group g[REIN_RM_GROUPS];

/* As the hook does, with a call that the kernel answers with `result`. */
static bool see(unsigned long request, void *arg, int result)
{
	struct rein_rm_call call = rein_rm_call_of(request, arg);
	bool frees = rein_rm_frees(&t, &call);
	if (frees)
		rein_rm_forget(&t, &call);
	if (!frees && (result != 0 || !rein_rm_matters(&call)))
		return false;
	return rein_rm_learn(&t, &call, CTL, result, frees);
}

static int issue(unsigned long request, void *arg)
{
	see(request, arg, 0);
	return 0;
}

static void fresh(void)
{
	memset(&t, 0, sizeof(t));
	rm_process(issue);
}

static unsigned groups(void)
{
	return rein_rm_groups(&t, g);
}

TEST(the_group_that_runs_kernels)
{
	fresh();
	ck_assert_ptr_null(t.spoiled);
	ck_assert_uint_eq(groups(), 1);
	ck_assert_uint_eq(g[0].handle, 0x100);
	ck_assert_uint_eq(g[0].client, RM_CLIENT);
	ck_assert_uint_eq(g[0].device, RM_DEVICE);
	ck_assert_uint_eq(g[0].subdevice, RM_SUBDEVICE);
	ck_assert_int_eq(g[0].fd, CTL);
	ck_assert_uint_eq(g[0].channels, 2);
	ck_assert_uint_eq(g[0].channel[0], 0x101);
	ck_assert_uint_eq(g[0].channel[1], 0x102);
	ck_assert_uint_eq(t.schedule_size, 3);
	/* of a driver that does not name the engine, the compute object tells */
	rm_group(issue, RM_DEVICE, 0x300, 0, 1, RM_CLASS_COMPUTE);
	ck_assert_uint_eq(groups(), 2);
	rm_group(issue, RM_DEVICE, 0x400, REIN_RM_ENGINE_GR7, 1, RM_CLASS_COPY);
	rm_group(issue, RM_DEVICE, 0x500, RM_ENGINE_COPY0, 1, RM_CLASS_COMPUTE);
	ck_assert_uint_eq(groups(), 2);
}
TEST_END

TEST(both_layouts_and_the_wrapped_one)
{
	struct rein_rm_nvos21 old = {
	    .client = RM_CLIENT, .parent = 0x100, .object = 0x107, .class_id = RM_CLASS_CHANNEL};
	struct rein_rm_nvos64 a = {
	    .client = RM_CLIENT, .parent = 0x100, .object = 0x108, .class_id = RM_CLASS_CHANNEL};
	struct rein_rm_xfer x = {REIN_RM_ESC_ALLOC, sizeof(a), (uintptr_t)&a};
	fresh();
	ck_assert(see(RM_ALLOC_OLD, &old, 0));
	ck_assert(see(RM_XFER, &x, 0));
	ck_assert_uint_eq(groups(), 1);
	ck_assert_uint_eq(g[0].channels, 4);
	ck_assert_uint_eq(g[0].channel[2], 0x107);
	ck_assert_uint_eq(g[0].channel[3], 0x108);
}
TEST_END

TEST(what_does_not_matter)
{
	struct rein_rm_nvos64 a = {.client = RM_CLIENT,
	                           .parent = 0x100,
	                           .object = 0x109,
	                           .class_id = RM_CLASS_CHANNEL,
	                           .status = 0x51};
	struct rein_rm_nvos54 c = {.client = RM_CLIENT, .object = 0x100, .cmd = 0xa06c0106};
	fresh();
	unsigned before = t.generation;
	ck_assert(!see(RM_ALLOC, &a, 0)); /* refused */
	a.status = 0;
	ck_assert(!see(RM_ALLOC, &a, -1));
	ck_assert(!see(RM_ALLOC, NULL, 0));
	a.class_id = 0x40; /* memory */
	ck_assert(!see(RM_ALLOC, &a, 0));
	ck_assert(!see(RM_CONTROL, &c, 0));
	ck_assert(!see(RM_REQUEST(REIN_RM_ESC_XFER, 8), &c, 0)); /* another one's number */
	ck_assert(!see(_IOC(_IOC_READ, REIN_RM_IOC_TYPE, REIN_RM_ESC_ALLOC, 48), &a, 0));
	ck_assert(!see(_IO('T', 1), &a, 0));
	ck_assert(!see(0x4600, &a, 0)); /* FBIOGET_VSCREENINFO */
	ck_assert_uint_eq(t.generation, before);
	c.cmd = REIN_RM_CMD_SCHEDULE;
	c.params_size = 2;
	c.status = 0x1f;
	see(RM_CONTROL, &c, 0);
	ck_assert_uint_eq(t.schedule_size, 3);
	c.status = 0;
	see(RM_CONTROL, &c, 0);
	ck_assert_uint_eq(t.schedule_size, 2);
}
TEST_END

TEST(layouts_that_are_not_known_spoil_it)
{
	static const unsigned numbers[] = {REIN_RM_ESC_FREE, REIN_RM_ESC_CONTROL,
	                                   REIN_RM_ESC_ALLOC};
	unsigned char arg[128] = {0};
	for (unsigned i = 0; i < 3; i++) {
		fresh();
		ck_assert(see(RM_REQUEST(numbers[i], 56), arg, 0));
		ck_assert_ptr_nonnull(t.spoiled);
		ck_assert_uint_eq(groups(), 0);
		rm_group(issue, RM_DEVICE, 0x500, REIN_RM_ENGINE_GR0, 1, RM_CLASS_COMPUTE);
		ck_assert_uint_eq(groups(), 0); /* for good */
	}
}
TEST_END

/* Nothing is read beyond what the call says is there: the page after it cannot be. */
TEST(short_parameters)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	ck_assert_int_eq(mprotect(p + page, page, PROT_NONE), 0);
	fresh();
	for (uint32_t size = 1; size <= 20; size++) {
		memset(p + page - size, 9, size);
		rm_alloc(issue, RM_CLIENT, RM_DEVICE, 0x600 + size, REIN_RM_CLASS_GROUP,
		         p + page - size, size);
	}
	struct rein_rm_nvos64 a = {.client = RM_CLIENT,
	                           .parent = RM_DEVICE,
	                           .object = 0x700,
	                           .class_id = REIN_RM_CLASS_GROUP,
	                           .params = (uintptr_t)(p + page),
	                           .flags = 1}; /* serialized */
	issue(RM_ALLOC, &a);
	void *end = p + page - sizeof(struct rein_rm_nvos64);
	memset(end, 0, sizeof(struct rein_rm_nvos64));
	ck_assert(!see(RM_ALLOC, end, 0)); /* a client: class 0 */
	ck_assert_ptr_null(t.spoiled);
	munmap(p, 2 * page);
}
TEST_END

TEST(freeing)
{
	fresh();
	rm_free(issue, RM_CLIENT, 0x4444); /* some memory */
	rm_free(issue, 0xc1d00002u, 0x102);
	ck_assert_uint_eq(groups(), 1);
	struct rein_rm_group was = g[0];
	rm_free(issue, RM_CLIENT, 0x102);
	ck_assert_uint_eq(groups(), 1);
	ck_assert_uint_eq(g[0].channels, 1);
	ck_assert(rein_rm_still(&t, &was));
	ck_assert_uint_eq(was.channels, 1);
	ck_assert_uint_eq(was.channel[0], 0x101);
	rm_free(issue, RM_CLIENT, RM_DEVICE); /* and all that is below it */
	ck_assert_uint_eq(groups(), 0);
	ck_assert_uint_eq(t.objects, 0);
	ck_assert(!rein_rm_still(&t, &was));
	fresh();
	rm_free(issue, RM_CLIENT, RM_CLIENT);
	ck_assert_uint_eq(t.objects, 0);
	ck_assert_ptr_null(t.spoiled);
	/* gone from the table before the call; if it then fails, nobody knows what there is */
	fresh();
	struct rein_rm_nvos00 f = {.client = RM_CLIENT, .object = 0x102, .status = 0x40};
	ck_assert(see(RM_FREE, &f, 0));
	ck_assert_ptr_nonnull(t.spoiled);
}
TEST_END

TEST(handles_are_used_again)
{
	fresh();
	rm_free(issue, RM_CLIENT, 0x100);
	rm_group(issue, RM_DEVICE, 0x100, REIN_RM_ENGINE_GR0, 1, RM_CLASS_COMPUTE);
	ck_assert_uint_eq(groups(), 1);
	ck_assert_uint_eq(g[0].channels, 1);
	/* also where the free was not seen */
	rm_alloc(issue, RM_CLIENT, RM_DEVICE, 0x101, REIN_RM_CLASS_SUBDEVICE, NULL, 0);
	ck_assert_uint_eq(groups(), 0);
	fresh();
	rm_alloc(issue, 0, 0, RM_CLIENT, RM_CLASS_CLIENT, NULL, 0);
	ck_assert_uint_eq(t.objects, 0);
}
TEST_END

TEST(no_room)
{
	fresh();
	for (uint32_t i = 0; !t.spoiled && i < 2 * REIN_RM_OBJECTS; i++)
		rm_alloc(issue, RM_CLIENT, RM_DEVICE, 0x10000 + i, REIN_RM_CLASS_SUBDEVICE, NULL,
		         0);
	ck_assert_ptr_nonnull(t.spoiled);
	ck_assert_uint_eq(t.objects, REIN_RM_OBJECTS);
	ck_assert_uint_eq(groups(), 0);
	fresh();
	for (uint32_t i = 0; i <= REIN_RM_DISABLE_MAX; i++)
		rm_alloc(issue, RM_CLIENT, 0x100, 0x10000 + i, RM_CLASS_CHANNEL, NULL, 0);
	ck_assert_uint_eq(groups(), 0); /* more than one control names */
	ck_assert_ptr_nonnull(t.spoiled);
	fresh();
	for (uint32_t i = 0; i < REIN_RM_GROUPS - 1; i++)
		rm_group(issue, RM_DEVICE, 0x10000 + 0x100 * i, REIN_RM_ENGINE_GR0, 1,
		         RM_CLASS_COMPUTE);
	ck_assert_uint_eq(groups(), REIN_RM_GROUPS);
	rm_group(issue, RM_DEVICE, 0x90000, REIN_RM_ENGINE_GR0, 1, RM_CLASS_COMPUTE);
	ck_assert_uint_eq(groups(), 0);
}
TEST_END

TEST(two_devices)
{
	fresh();
	rm_alloc(issue, RM_CLIENT, RM_CLIENT, 0x900, REIN_RM_CLASS_DEVICE, NULL, 0);
	rm_alloc(issue, RM_CLIENT, 0x900, 0x901, REIN_RM_CLASS_SUBDEVICE, NULL, 0);
	rm_group(issue, 0x900, 0xa00, REIN_RM_ENGINE_GR0, 3, RM_CLASS_COMPUTE);
	ck_assert_uint_eq(groups(), 2);
	ck_assert_uint_eq(g[0].subdevice, RM_SUBDEVICE);
	ck_assert_uint_eq(g[1].subdevice, 0x901);
	ck_assert_uint_eq(g[1].channels, 3);
}
TEST_END

/* Any bytes, few handles: whatever happens, the limits hold. */
TEST(any_bytes)
{
	static const uint32_t classes[] = {
	    0, 0x41, 0x80, 0x2080, 0xa06c, RM_CLASS_CHANNEL, RM_CLASS_COMPUTE, 0x40};
	static const unsigned long requests[] = {RM_ALLOC, RM_ALLOC_OLD, RM_FREE, RM_CONTROL};
	srand(7);
	for (unsigned round = 0; round < 200; round++) {
		memset(&t, 0, sizeof(t));
		for (unsigned i = 0; i < 500; i++) {
			uint32_t arg[16], params[8];
			for (unsigned k = 0; k < 16; k++)
				arg[k] = (uint32_t)rand() % 6;
			for (unsigned k = 0; k < 8; k++)
				params[k] = (uint32_t)rand() % 3;
			unsigned long request = requests[rand() % 4];
			uint64_t at = rand() % 2 ? (uintptr_t)params : 0;
			if (request != RM_FREE) {
				memcpy(&arg[4], &at, sizeof(at));
				arg[3] = classes[rand() % 8];
				arg[6] = arg[8] = rand() % 2 ? sizeof(params) : 0;
				arg[7] = arg[9] = arg[10] = 0;
			}
			see(request, arg, rand() % 8 ? 0 : -1);
			unsigned n = groups();
			ck_assert_uint_le(n, REIN_RM_GROUPS);
			ck_assert_uint_le(t.objects, REIN_RM_OBJECTS);
			ck_assert(!t.spoiled || n == 0);
			for (unsigned k = 0; k < n; k++)
				ck_assert_uint_le(g[k].channels, REIN_RM_DISABLE_MAX);
		}
	}
}
TEST_END

TESTS("rmtable", the_group_that_runs_kernels, both_layouts_and_the_wrapped_one,
      what_does_not_matter, layouts_that_are_not_known_spoil_it, short_parameters, freeing,
      handles_are_used_again, no_room, two_devices, any_bytes)
