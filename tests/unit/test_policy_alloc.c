// SPDX-License-Identifier: Apache-2.0
/* test_policy_alloc.c: no policy allocates outside init and join. The allocator's functions are
 * replaced by ones that count and then call glibc's own. */
#include <errno.h>

#include "tests/unit/policy_rig.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTED 0 /* the sanitizers have replaced them already */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTED 0
#endif
#endif
#ifndef COUNTED
#define COUNTED 1
#endif

static volatile unsigned allocations; /* GCC knows malloc, and that it changes nothing of ours */

#if COUNTED
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
#define REPLACES __attribute__((visibility("default")))

REPLACES void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

REPLACES void *calloc(size_t n, size_t size)
{
	allocations++;
	return __libc_calloc(n, size);
}

REPLACES void *realloc(void *p, size_t size)
{
	allocations++;
	return __libc_realloc(p, size);
}

REPLACES void *aligned_alloc(size_t alignment, size_t size)
{
	allocations++;
	return __libc_memalign(alignment, size);
}

REPLACES int posix_memalign(void **p, size_t alignment, size_t size)
{
	allocations++;
	*p = __libc_memalign(alignment, size);
	return *p ? 0 : ENOMEM;
}
#endif

#define N 256

static struct rein_policy_client client[N], *list[N];
static struct rein_policy_verdict verdict[N];

static void join_all(struct rein_policy *p, unsigned n)
{
	memset(client, 0, sizeof(client));
	for (unsigned i = 0; i < n; i++) {
		list[i] = &client[i];
		client[i] = (struct rein_policy_client){.id = i + 1, .job = i + 1, .weight = 100};
		client[i].band = (enum rein_band)(i % REIN_BANDS);
		client[i].prio = i % REIN_BANDS == REIN_BAND_INTERACTIVE ? 1 + (int)(i % 99) : 0;
		client[i].deadline_ns = i % 8 == 0 ? (10 + i) * RIG_MS : 0;
		client[i].period_ns = i % 4 == 0 ? (10 + i) * RIG_MS : 0;
		client[i].budget_ns = i % 4 == 0 ? RIG_MS : 0;
		if (p->ops->join)
			ck_assert_int_eq(p->ops->join(p, list[i], RIG_S), 0);
	}
}

/* A busy second: requests begin and end, are charged, go to the background, and time passes. */
static void busy(struct rein_policy *p, unsigned n)
{
	for (uint64_t now_ns = RIG_S; now_ns < 2 * RIG_S; now_ns += RIG_MS) {
		struct rein_policy_client *c = list[rig_random(n)];
		c->active = !c->active;
		c->background = rig_random(4) == 0;
		c->release_ns = c->active_since_ns = now_ns;
		c->due_ns = c->deadline_ns ? now_ns + c->deadline_ns : 0;
		if (c->active && p->ops->ready)
			p->ops->ready(p, c, now_ns);
		if (!c->active && p->ops->idle)
			p->ops->idle(p, c, now_ns);
		if (p->ops->charge)
			p->ops->charge(p, list[rig_random(n)], now_ns, RIG_MS);
		memset(verdict, 0, sizeof(verdict));
		p->ops->decide(p, list, verdict, n, now_ns);
	}
}

TEST(decisions_allocate_nothing)
{
	for (unsigned k = 0; rein_policies[k]; k++) {
		struct rein_policy *p = rein_policies[k]->init(NULL);
		ck_assert_ptr_nonnull(p);
		join_all(p, N);
		unsigned before = allocations;
		busy(p, 1);
		busy(p, N);
		unsigned after = allocations;
		ck_assert_uint_eq(after, before);
		for (unsigned i = 0; p->ops->leave && i < N; i++)
			p->ops->leave(p, list[i], 2 * RIG_S);
		p->ops->fini(p);
	}
}
TEST_END

/* What is counted is counted. */
TEST(the_count_counts)
{
	unsigned before = allocations;
	void *volatile p = malloc(100);
	free(p);
	ck_assert_uint_eq(allocations, before + COUNTED);
}
TEST_END

TESTS("policy alloc", decisions_allocate_nothing, the_count_counts)
