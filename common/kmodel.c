// SPDX-License-Identifier: Apache-2.0
#include "kmodel.h"

#include <string.h>

#define PROBES 16           /* rows looked at before a kernel stays unknown */
#define ESTIMATE_SAMPLES 2u /* the first often holds a lazy load: an upper bound */
#define FEW_SAMPLES 32u
#define NS_MAX (3600ull * 1000000000ull)

static uint64_t mix(uint64_t h, uint64_t v)
{
	h ^= v + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2);
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ull;
	return h ^ (h >> 29);
}

uint64_t rein_kmodel_key(uint64_t func, const uint32_t grid[3], const uint32_t block[3],
                         uint32_t shared_bytes)
{
	uint64_t h = mix(0x7265696e, func);
	h = mix(h, (uint64_t)grid[0] << 32 | grid[1]);
	h = mix(h, (uint64_t)grid[2] << 32 | shared_bytes);
	h = mix(h, (uint64_t)block[0] << 40 | (uint64_t)block[1] << 20 | block[2]);
	return h ? h : 1;
}

static const struct rein_kmodel_row *find(const struct rein_kmodel *m, uint64_t key)
{
	for (unsigned i = 0; i < PROBES; i++) {
		const struct rein_kmodel_row *r = &m->row[(key + i) % REIN_KMODEL_ROWS];
		uint64_t k = rein_load_acquire(&r->key);
		if (k == key)
			return r;
		if (k == 0)
			return NULL;
	}
	return NULL;
}

/* Another kernel's row becomes this one's, unknown. A sample of the old kernel that is under way
 * may still land in it: one wrong sample, soon outweighed. */
static struct rein_kmodel_row *evict(struct rein_kmodel *m, uint64_t key)
{
	struct rein_kmodel_row *oldest = &m->row[key % REIN_KMODEL_ROWS];
	for (unsigned i = 1; i < PROBES; i++) {
		struct rein_kmodel_row *r = &m->row[(key + i) % REIN_KMODEL_ROWS];
		if (rein_load_relaxed(&r->used) < rein_load_relaxed(&oldest->used))
			oldest = r;
	}
	uint64_t old = rein_load_acquire(&oldest->key);
	if (!rein_cas(&oldest->key, &old, key))
		return NULL;
	rein_store_relaxed(&oldest->count, 0);
	rein_store_relaxed(&oldest->min_ns, 0);
	rein_store_release(&oldest->name_ready, 0);
	return oldest;
}

static struct rein_kmodel_row *find_or_claim(struct rein_kmodel *m, uint64_t key)
{
	for (unsigned i = 0; i < PROBES; i++) {
		struct rein_kmodel_row *r = &m->row[(key + i) % REIN_KMODEL_ROWS];
		uint64_t k = rein_load_acquire(&r->key);
		if (k == 0 && rein_cas(&r->key, &k, key))
			return r;
		if (k == key)
			return r;
	}
	return evict(m, key);
}

/* Ticks are samples of this process: order is all that counts. */
static void touch(struct rein_kmodel_row *r)
{
	static rein_a32 tick;
	rein_store_relaxed(&r->used, rein_add_relaxed(&tick, 1) + 1);
}

uint64_t rein_kmodel_estimate(const struct rein_kmodel *m, uint64_t key)
{
	const struct rein_kmodel_row *r = find(m, key);
	if (!r)
		return 0;
	if (rein_load_relaxed(&r->count) < ESTIMATE_SAMPLES)
		return rein_load_relaxed(&r->min_ns);
	uint64_t high = rein_load_relaxed(&r->high_ns);
	uint64_t mean = rein_load_relaxed(&r->mean_ns);
	uint64_t ns = high > mean ? high : mean;
	return ns ? ns : 1;
}

bool rein_kmodel_is_bound(const struct rein_kmodel *m, uint64_t key)
{
	const struct rein_kmodel_row *r = find(m, key);
	return r && rein_load_relaxed(&r->count) < ESTIMATE_SAMPLES &&
	       rein_load_relaxed(&r->min_ns) > 0;
}

uint32_t rein_kmodel_samples(const struct rein_kmodel *m, uint64_t key)
{
	const struct rein_kmodel_row *r = find(m, key);
	return r ? rein_load_relaxed(&r->count) : 0;
}

/*
 * Stochastic approximation: 19 steps down balance one step up, so about one sample in 20 lies
 * above. The step is a part of the distance between the mean and the quantile, which is the
 * spread's own scale: neither does one odd sample move it far, nor does it take long after a
 * lasting change. With few samples what was slow once counts for more.
 */
static uint64_t track_high(uint64_t high, uint64_t mean, uint64_t ns, uint32_t count)
{
	if (ns > high && count < FEW_SAMPLES)
		return high + (ns - high + 1) / 2;
	if (mean > high)
		return high + (mean - high + 1) / 2;
	uint64_t scale = high - mean;
	if (scale < mean / 64)
		scale = mean / 64;
	uint64_t up = scale * 19 / 80 + 1, down = scale / 80 + 1;
	if (ns > high)
		return high + up; /* perhaps beyond it, or the two would not balance */
	return down < high - ns ? high - down : ns;
}

/* Word by word, for other threads may be at it. */
static void set_name(struct rein_kmodel_row *r, const char *name)
{
	uint64_t word[REIN_KMODEL_NAME_LEN / sizeof(uint64_t)] = {0};
	rein_a64 *to = (rein_a64 *)(void *)r->name;
	strncpy((char *)word, name, sizeof(word) - 1);
	for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++)
		rein_store_relaxed(&to[i], word[i]);
	rein_store_release(&r->name_ready, 1);
}

/* A row that another kernel takes over meanwhile has a wrong name until it is timed. */
void rein_kmodel_name(struct rein_kmodel *m, uint64_t key, const char *name)
{
	struct rein_kmodel_row *r = find_or_claim(m, key);
	if (r && !rein_load_acquire(&r->name_ready))
		set_name(r, name);
}

void rein_kmodel_sample(struct rein_kmodel *m, uint64_t key, uint64_t ns, const char *name)
{
	struct rein_kmodel_row *r = find_or_claim(m, key);
	if (!r)
		return;
	touch(r);
	if (ns > NS_MAX)
		ns = NS_MAX;
	uint32_t count = rein_load_relaxed(&r->count);
	uint64_t mean = rein_load_relaxed(&r->mean_ns);
	uint64_t high = rein_load_relaxed(&r->high_ns);
	uint64_t min = rein_load_relaxed(&r->min_ns);
	if (count == 0) {
		if (name && !rein_load_acquire(&r->name_ready))
			set_name(r, name);
		mean = high = ns;
		min = min && min < ns ? min : ns; /* a bound may be there */
	} else if (count < ESTIMATE_SAMPLES) {
		mean = high = ns; /* the first is forgotten */
		min = ns < min ? ns : min;
	} else {
		mean = mean - mean / 8 + ns / 8;
		high = track_high(high, mean, ns, count);
		if (ns < min)
			min = ns;
	}
	rein_store_relaxed(&r->mean_ns, mean);
	rein_store_relaxed(&r->high_ns, high);
	rein_store_relaxed(&r->min_ns, min);
	if (count < UINT32_MAX)
		rein_store_release(&r->count, count + 1);
}

void rein_kmodel_bound(struct rein_kmodel *m, uint64_t key, uint64_t ns)
{
	struct rein_kmodel_row *r = find_or_claim(m, key);
	if (!r || rein_load_relaxed(&r->count) >= ESTIMATE_SAMPLES)
		return;
	touch(r);
	uint64_t least = rein_load_relaxed(&r->min_ns);
	if (ns > NS_MAX)
		ns = NS_MAX;
	if (!least || ns < least)
		rein_store_relaxed(&r->min_ns, ns ? ns : 1);
}

bool rein_kmodel_read(const struct rein_kmodel *m, unsigned i, struct rein_kmodel_entry *out)
{
	const struct rein_kmodel_row *r = &m->row[i % REIN_KMODEL_ROWS];
	memset(out, 0, sizeof(*out));
	out->key = rein_load_acquire(&r->key);
	if (!out->key)
		return false;
	out->count = rein_load_acquire(&r->count);
	out->mean_ns = rein_load_relaxed(&r->mean_ns);
	out->high_ns = rein_load_relaxed(&r->high_ns);
	out->min_ns = rein_load_relaxed(&r->min_ns);
	if (rein_load_acquire(&r->name_ready)) {
		memcpy(out->name, r->name, sizeof(out->name) - 1);
		for (char *c = out->name; *c; c++)
			if (*c < 0x20 || *c > 0x7e)
				*c = '?';
	}
	return true;
}
