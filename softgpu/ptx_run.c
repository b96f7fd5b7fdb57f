// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_run.c: a launch: checks its geometry, runs the blocks. The caller's thread works alone until
 * the launch proves long; then threads are started for the rest of the grid and joined at the end.
 *
 * A worker finishes one cluster of blocks (mostly a single block) before it starts the next, unless
 * the warps only spin: then it starts another one (or goes on with one that it had left), so that
 * blocks may wait for each other. In a cooperative launch every block may be started; otherwise a
 * limited number.
 */
#include <fenv.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/futex.h"
#include "ptx_exec.h"

#define MAX_SHARED 232448 /* 227 KiB, the most that compute capability 9.0 allows */
#define MAX_BLOCK_BYTES ((uint64_t)1 << 30)
#define SLICE 256              /* backward branches before the next warp has its turn */
#define SLICE_SPINNING 32      /* … in a cooperative launch, where blocks wait for blocks */
#define SPIN_ROUNDS 16         /* rounds of nothing but spinning before another block starts */
#define STARTED_MAX 1024       /* of one worker, not cooperative: the small GPU holds 128 */
#define RECRUIT_AFTER_NS 50000 /* a thread costs some 20 µs */
#define MAX_WORKERS 256
#define STACK_BYTES_MAX 524288 /* CUDA's limit */

/* Memory of one resident block, and of the others of its cluster. */
struct ptx_arena {
	struct ptx_arena *peer; /* the next one of the cluster */
	uint32_t n_cluster;
	struct ptx_block block;
	struct ptx_warp warps[PTX_MAX_WARPS];
	uint32_t n_warps, shared_bytes, lane_bytes;
	uint8_t *mem; /* registers, local and shared memory */
};

struct crew { /* the threads of a launch */
	struct ptx_worker first;
	struct ptx_worker *others[MAX_WORKERS];
	pthread_t threads[MAX_WORKERS];
	unsigned n_others, max;
	uint64_t start_ns;
	bool recruited;
};

static uint64_t clock_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* ---- errors */
bool ptx_fault(struct ptx_warp *w, const struct ptx_inst *in, unsigned lane, enum ptx_status status,
               const char *fmt, ...)
{
	struct ptx_job *j = w->worker->job;
	const uint32_t *c = w->block->ctaid;
	char what[120];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&j->lock);
	if (j->status == PTX_OK) {
		j->status = status;
		j->err->line = (int)in->line;
		snprintf(j->err->text, sizeof(j->err->text),
		         "%s; kernel '%.60s', block (%u,%u,%u), thread (%u,%u,%u)", what,
		         j->k->info.name, c[0], c[1], c[2], w->tid[0][lane], w->tid[1][lane],
		         w->tid[2][lane]);
	}
	pthread_mutex_unlock(&j->lock);
	atomic_store(&j->stop, true);
	return false;
}

/* ---- resident blocks */
void ptx_arena_free(struct ptx_arena *a)
{
	for (struct ptx_arena *peer; a; a = peer) {
		peer = a->peer;
		for (uint32_t i = 0; i < a->n_warps; i++)
			ptx_stacks_free(a->warps[i].stacks);
		free(a->mem);
		free(a);
	}
}

static void set_thread_indices(struct ptx_arena *a, const uint32_t dim[3])
{
	uint32_t x = 0, y = 0, z = 0;
	for (uint32_t i = 0; i < a->n_warps * PTX_LANES; i++) {
		struct ptx_warp *w = &a->warps[i / PTX_LANES];
		w->tid[0][i % PTX_LANES] = x;
		w->tid[1][i % PTX_LANES] = y;
		w->tid[2][i % PTX_LANES] = z;
		if (++x == dim[0]) {
			x = 0;
			if (++y == dim[1]) {
				y = 0;
				z++;
			}
		}
	}
}

/* Zeroed, and most of it not touched: a stack may be large and stay empty. */
static struct ptx_arena *arena_new(const struct ptx_job *j, uint32_t shared)
{
	size_t regs = (j->k->reg_bytes + 127) & ~(size_t)127;
	size_t bytes = j->n_warps * (regs + (size_t)j->lane_bytes * PTX_LANES) + shared + 512;
	struct ptx_arena *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->mem = calloc(1, bytes);
	a->n_warps = j->n_warps;
	a->shared_bytes = shared;
	a->lane_bytes = j->lane_bytes;
	bool ok = a->mem != NULL;
	for (uint32_t i = 0; i < a->n_warps && ok && j->k->uses_stack; i++)
		ok = (a->warps[i].stacks = ptx_stacks_new(j->k)) != NULL;
	if (ok)
		return a;
	ptx_arena_free(a);
	return NULL;
}

static struct ptx_arena *arenas_new(const struct ptx_job *j, uint32_t shared, uint32_t n)
{
	struct ptx_arena *first = arena_new(j, shared);
	for (uint32_t i = 1; i < n && first; i++) {
		struct ptx_arena *a = arena_new(j, shared);
		if (!a) {
			ptx_arena_free(first);
			return NULL;
		}
		a->peer = first->peer;
		first->peer = a;
	}
	if (first)
		first->n_cluster = n;
	return first;
}

/* Block `rank` of the cluster that `first` leads. */
static void arena_prepare(struct ptx_arena *a, struct ptx_worker *worker, struct ptx_block *first,
                          uint32_t rank)
{
	const struct ptx_job *j = worker->job;
	size_t local = (size_t)j->lane_bytes * PTX_LANES;
	size_t regs = (j->k->reg_bytes + 127) & ~(size_t)127;
	uint8_t *mem = a->mem + (128 - ((uintptr_t)a->mem & 127)) % 128;
	struct ptx_block *b = &a->block;
	b->worker = worker;
	b->arena = a;
	b->warps = a->warps;
	b->n_warps = a->n_warps;
	b->shared_bytes = a->shared_bytes;
	b->shared = mem + j->n_warps * (regs + local);
	b->shared += (128 - ((uintptr_t)b->shared & 127)) & 127;
	b->rank = rank;
	b->cluster = &first->own;
	first->own.blocks[rank] = b;
	for (uint32_t i = 0; i < a->n_warps; i++) {
		struct ptx_warp *w = &a->warps[i];
		w->bank[0] = mem + i * regs;
		w->bank[1] = (uint8_t *)(uintptr_t)j->k->consts; /* never written */
		w->local = mem + j->n_warps * regs + i * local;
		w->block = b;
		w->worker = worker;
		w->id = i;
	}
	set_thread_indices(a, j->l->block);
}

/* Arenas for a cluster of this kernel and geometry: the last launch's, or new ones. NULL: no
 * memory. */
static struct ptx_arena *arena_get(struct ptx_worker *worker)
{
	const struct ptx_job *j = worker->job;
	struct ptx_kernel *k = (struct ptx_kernel *)(uintptr_t)j->k; /* only its spare arena */
	uint32_t shared = k->dyn_shared + j->l->dynamic_shared_bytes, rank = 0;
	if (k->reserved_shared)
		shared = ((shared + 15) & ~15u) + k->reserved_shared;
	uint32_t n = j->cluster[0] * j->cluster[1] * j->cluster[2];
	struct ptx_arena *a = atomic_exchange(&k->spare, NULL);
	if (a && (a->n_warps != j->n_warps || a->shared_bytes != shared ||
	          a->lane_bytes != j->lane_bytes || a->n_cluster != n)) {
		ptx_arena_free(a);
		a = NULL;
	}
	if (!a)
		a = arenas_new(j, shared, n);
	if (!a)
		return NULL;
	a->block.own.n = n;
	for (struct ptx_arena *peer = a; peer; peer = peer->peer)
		arena_prepare(peer, worker, &a->block, rank++);
	return a;
}

static void arena_put(const struct ptx_kernel *kernel, struct ptx_arena *a)
{
	struct ptx_kernel *k = (struct ptx_kernel *)(uintptr_t)kernel;
	struct ptx_arena *none = NULL;
	if (!atomic_compare_exchange_strong(&k->spare, &none, a))
		ptx_arena_free(a);
}

/* A block of the cluster with this number. */
static void block_begin(struct ptx_block *b, uint64_t number)
{
	const struct ptx_job *j = b->worker->job;
	const struct ptx_launch *l = j->l;
	uint32_t threads = l->block[0] * l->block[1] * l->block[2], rank = b->rank;
	for (int i = 0; i < 3; i++) {
		uint64_t across = l->grid[i] / j->cluster[i];
		b->ctaid[i] = (uint32_t)(number % across) * j->cluster[i] + rank % j->cluster[i];
		number /= across;
		rank /= j->cluster[i];
	}
	b->index = b->ctaid[0] + l->grid[0] * (b->ctaid[1] + l->grid[1] * b->ctaid[2]);
	b->live_warps = b->n_warps;
	memset(b->barriers, 0, sizeof(b->barriers));
	for (uint32_t i = 0; i < b->n_warps; i++) {
		struct ptx_warp *w = &b->warps[i];
		uint32_t rest = threads - i * PTX_LANES;
		w->live = rest >= PTX_LANES ? ~0u : (1u << rest) - 1;
		w->groups[0] = (struct ptx_group){0, w->live, PTX_RUN};
		w->n_groups = 1;
		w->turn = 0;
		w->cluster_arrived = 0;
		w->state = PTX_WARP_READY;
		if (w->stacks)
			ptx_stacks_reset(w);
	}
}

static struct ptx_block *cluster_begin(struct ptx_arena *a, uint64_t number)
{
	struct ptx_cluster *c = a->block.cluster;
	memset(a->block.worker->ranges, 0, sizeof(a->block.worker->ranges));
	ptx_images_forget(a->block.worker);
	c->arrivals = false;
	for (uint32_t r = 0; r < c->n; r++)
		block_begin(c->blocks[r], number);
	return &a->block;
}

enum block_end { BLOCK_DONE, BLOCK_SPINS, BLOCK_FAULT };

/* One warp's slice. False: the job has failed. *spun: it has used up its slice. */
static bool run_slice(struct ptx_warp *w, int budget, bool *spun)
{
	bool ok = true;
	*spun = false;
	switch (ptx_warp_run(w, budget)) {
	case PTX_STEP_DONE:
		w->state = PTX_WARP_DONE;
		w->block->live_warps--;
		ptx_barrier_recheck(w->block);
		break;
	case PTX_STEP_BARRIER:
		ok = ptx_barrier_arrive(w);
		break;
	case PTX_STEP_CLUSTER:
		w->state = PTX_WARP_WAITING;
		break;
	case PTX_STEP_YIELD:
		*spun = true;
		break;
	default:
		return false;
	}
	if (w->block->cluster->arrivals)
		ptx_cluster_recheck(w->block->cluster);
	return ok;
}

/* Until it is let go; looks again now and then, as somebody may have changed it unseen. */
static void stand_still(const rein_a32 *pause)
{
	while (rein_load_acquire(pause))
		rein_futex_wait(pause, 1, rein_now_ns() + 100 * REIN_MS);
}

static void recruit_if_long(struct ptx_worker *k);

/* What a round over the warps of a cluster has come to. */
struct round {
	bool any, all_spun; /* warps that ran; all of them only spun */
	unsigned slices;
};

/* A slice of every warp of a block. False: the job has failed. */
static bool run_round(struct ptx_block *b, int budget, struct round *r)
{
	struct ptx_job *j = b->worker->job;
	bool spun;
	for (uint32_t i = 0; i < b->n_warps; i++) {
		if (b->warps[i].state != PTX_WARP_READY)
			continue;
		if (atomic_load_explicit(&j->stop, memory_order_relaxed))
			return false;
		if (j->l->pause && rein_load_relaxed(j->l->pause))
			stand_still(j->l->pause);
		if (!run_slice(&b->warps[i], budget, &spun))
			return false;
		r->any = true;
		r->all_spun &= spun;
		if (++r->slices % 16 == 0)
			recruit_if_long(b->worker);
	}
	return true;
}

static bool alive(const struct ptx_cluster *c)
{
	uint32_t warps = 0;
	for (uint32_t i = 0; i < c->n; i++)
		warps |= c->blocks[i]->live_warps;
	return warps;
}

/* Warps are left, and none can run. */
static void stuck(const struct ptx_cluster *c)
{
	for (uint32_t i = 0; i < c->n * c->blocks[0]->n_warps; i++) {
		struct ptx_warp *w = &c->blocks[i % c->n]->warps[i / c->n];
		if (w->state == PTX_WARP_WAITING)
			ptx_fault(w, &w->worker->job->k->code[w->groups[0].pc],
			          (unsigned)__builtin_ctz(w->groups[0].mask), PTX_BARRIER,
			          "a barrier that other warps never reach");
	}
}

static enum block_end run_cluster(struct ptx_block *first)
{
	struct ptx_cluster *c = first->cluster;
	bool cooperative = first->worker->job->l->cooperative;
	int budget = cooperative ? SLICE_SPINNING : SLICE;
	unsigned rounds = cooperative ? 1 : SPIN_ROUNDS, spinning = 0;
	struct round r = {0};
	while (alive(c)) {
		r.any = false;
		r.all_spun = true;
		for (uint32_t i = 0; i < c->n; i++)
			if (!run_round(c->blocks[i], budget, &r))
				return BLOCK_FAULT;
		if (!r.any && alive(c)) {
			stuck(c);
			return BLOCK_FAULT;
		}
		spinning = r.any && r.all_spun ? spinning + 1 : 0;
		if (spinning >= rounds)
			return BLOCK_SPINS;
	}
	return BLOCK_DONE;
}

/* ---- workers */
/* Takes the next cluster of the grid, if there is one: its first block. */
static struct ptx_block *start_block(struct ptx_worker *k, struct ptx_arena **spare)
{
	struct ptx_job *j = k->job;
	if (atomic_load_explicit(&j->next_cluster, memory_order_relaxed) >= j->n_clusters)
		return NULL;
	struct ptx_arena *a = *spare ? *spare : arena_get(k);
	*spare = NULL;
	uint64_t number = a ? atomic_fetch_add(&j->next_cluster, 1) : 0;
	if (!a) {
		pthread_mutex_lock(&j->lock);
		if (j->status == PTX_OK) {
			j->status = PTX_NO_MEMORY;
			snprintf(j->err->text, sizeof(j->err->text),
			         "no memory for a block of kernel '%.60s'", j->k->info.name);
		}
		pthread_mutex_unlock(&j->lock);
		atomic_store(&j->stop, true);
		return NULL;
	}
	if (number >= j->n_clusters) {
		*spare = a;
		return NULL;
	}
	return cluster_begin(a, number);
}

/* The first block spins: another one first from now on. */
static void rotate(struct ptx_worker *k, uint32_t *n_started, struct ptx_arena **spare)
{
	struct ptx_block *b = k->blocks, *more = NULL, **tail = &k->blocks;
	if (k->job->l->cooperative || *n_started < STARTED_MAX)
		more = start_block(k, spare);
	if (more) {
		++*n_started;
		more->next = k->blocks;
		k->blocks = more;
		return;
	}
	if (!b->next) {
		sched_yield(); /* alone: it waits for another worker, or for the host */
		return;
	}
	k->blocks = b->next;
	b->next = NULL;
	while (*tail)
		tail = &(*tail)->next;
	*tail = b;
}

static void work(struct ptx_worker *k)
{
	struct ptx_job *j = k->job;
	struct ptx_arena *spare = NULL;
	uint32_t n_started = 0;
	fenv_t host;
	/* the host's rounding mode and flush-to-zero are not the guest's */
	fegetenv(&host);
	fesetenv(FE_DFL_ENV);
	while (!atomic_load_explicit(&j->stop, memory_order_relaxed)) {
		if (!k->blocks) {
			k->blocks = start_block(k, &spare);
			if (!k->blocks)
				break;
			k->blocks->next = NULL;
			n_started++;
		}
		struct ptx_block *b = k->blocks;
		enum block_end end = run_cluster(b);
		if (end == BLOCK_SPINS) {
			rotate(k, &n_started, &spare);
		} else if (end == BLOCK_DONE) {
			k->blocks = b->next;
			n_started--;
			if (spare)
				arena_put(j->k, spare);
			spare = b->arena;
		}
		recruit_if_long(k);
	}
	for (struct ptx_block *b = k->blocks, *next; b; b = next) {
		next = b->next;
		ptx_arena_free(b->arena);
	}
	if (spare)
		arena_put(j->k, spare);
	fesetenv(&host);
}

static void *work_thread(void *arg)
{
	work(arg);
	return NULL;
}

static unsigned cpu_count(void)
{
	static atomic_uint cached;
	unsigned n = atomic_load(&cached);
	if (!n) {
		cpu_set_t set;
		n = sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned)CPU_COUNT(&set);
		atomic_store(&cached, n ? n : 1);
	}
	return n;
}

/* Only the caller's worker recruits; it is the first member of its crew. */
static void recruit_if_long(struct ptx_worker *k)
{
	struct crew *c = (struct crew *)k;
	struct ptx_job *j = k->job;
	if (!k->leads || c->recruited || clock_ns() - c->start_ns < RECRUIT_AFTER_NS)
		return;
	c->recruited = true;
	uint64_t next = atomic_load(&j->next_cluster);
	uint64_t left = next < j->n_clusters ? j->n_clusters - next : 0;
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are for the host's threads */
	while (c->n_others + 1 < c->max && c->n_others < left) {
		struct ptx_worker *w = calloc(1, sizeof(*w));
		if (!w)
			break;
		w->job = j;
		w->lanes = k->lanes;
		if (pthread_create(&c->threads[c->n_others], NULL, work_thread, w)) {
			free(w);
			break;
		}
		c->others[c->n_others++] = w;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- a launch */
static enum ptx_status bad_launch(struct ptx_error *err, const struct ptx_kernel *k,
                                  const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static enum ptx_status bad_launch(struct ptx_error *err, const struct ptx_kernel *k,
                                  const char *fmt, ...)
{
	char what[140];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	err->line = 0;
	snprintf(err->text, sizeof(err->text), "launch of kernel '%.60s': %s", k->info.name, what);
	return PTX_BAD_LAUNCH;
}

/* Local memory of a lane. */
static uint32_t lane_bytes(const struct ptx_kernel *k, const struct ptx_launch *l)
{
	uint32_t stack = l->stack_bytes ? l->stack_bytes : PTX_STACK_BYTES;
	if (!k->uses_stack)
		return k->info.local_bytes;
	stack = stack > STACK_BYTES_MAX ? STACK_BYTES_MAX : stack;
	return k->info.local_bytes + ((stack + 15) & ~15u);
}

static uint32_t cluster_side(const struct ptx_kernel *k, const struct ptx_launch *l, int i)
{
	return l->cluster[0] ? l->cluster[i] : k->info.cluster[0] ? k->info.cluster[i] : 1;
}

enum ptx_status ptx_check_launch(const struct ptx_kernel *k, const struct ptx_launch *l,
                                 struct ptx_error *err)
{
	const uint32_t *g = l->grid, *b = l->block, *req = k->info.required;
	uint64_t threads = (uint64_t)b[0] * b[1] * b[2];
	uint64_t shared = (uint64_t)k->dyn_shared + l->dynamic_shared_bytes;
	if (!g[0] || !g[1] || !g[2] || g[0] > INT32_MAX || g[1] > 65535 || g[2] > 65535)
		return bad_launch(err, k, "bad grid (%u,%u,%u)", g[0], g[1], g[2]);
	if (!threads || b[0] > 1024 || b[1] > 1024 || b[2] > 64 || threads > k->info.max_threads)
		return bad_launch(err, k, "bad block (%u,%u,%u): the kernel allows %u threads",
		                  b[0], b[1], b[2], k->info.max_threads);
	if (req[0] && (b[0] != req[0] || b[1] != req[1] || b[2] != req[2]))
		return bad_launch(err, k, "block (%u,%u,%u), but it requires (%u,%u,%u)", b[0],
		                  b[1], b[2], req[0], req[1], req[2]);
	if (shared > MAX_SHARED)
		return bad_launch(err, k, "%llu bytes of shared memory; the most is %u",
		                  (unsigned long long)shared, MAX_SHARED);
	uint32_t c[3];
	for (int i = 0; i < 3; i++)
		c[i] = cluster_side(k, l, i);
	if (!c[0] || !c[1] || !c[2] || c[0] > PTX_CLUSTER_MAX || c[1] > PTX_CLUSTER_MAX ||
	    c[2] > PTX_CLUSTER_MAX || c[0] * c[1] * c[2] > PTX_CLUSTER_MAX || g[0] % c[0] ||
	    g[1] % c[1] || g[2] % c[2])
		return bad_launch(err, k, "bad cluster (%u,%u,%u) for grid (%u,%u,%u)", c[0], c[1],
		                  c[2], g[0], g[1], g[2]);
	if (k->info.param_bytes && !l->params)
		return bad_launch(err, k, "parameters are missing");
	uint64_t bytes = ((uint64_t)k->reg_bytes + lane_bytes(k, l) * 32ull) * (threads / 32 + 1);
	if (bytes > MAX_BLOCK_BYTES)
		return bad_launch(err, k, "a block needs %llu MiB for registers and local memory",
		                  (unsigned long long)(bytes >> 20));
	return PTX_OK;
}

enum ptx_status ptx_run(const struct ptx_kernel *k, const struct ptx_launch *l,
                        const struct ptx_memory *mem, struct ptx_result *res, struct ptx_error *err)
{
	static _Atomic uint64_t grid_ids;
	uint8_t params[4096] __attribute__((aligned(16)));
	uint8_t *big = NULL, *workspace = NULL;
	struct ptx_job j = {.k = k, .l = l, .mem = mem, .err = err, .status = PTX_OK};
	*res = (struct ptx_result){0};
	*err = (struct ptx_error){0};
	if (k->info.refused) {
		*err = *k->info.refused;
		return PTX_UNSUPPORTED;
	}
	if (ptx_check_launch(k, l, err) != PTX_OK)
		return PTX_BAD_LAUNCH;
	j.n_warps = (l->block[0] * l->block[1] * l->block[2] + PTX_LANES - 1) / PTX_LANES;
	j.lane_bytes = lane_bytes(k, l);
	j.is_cluster = l->cluster[0] || k->info.cluster[0];
	j.n_clusters = 1;
	for (int i = 0; i < 3; i++) {
		j.cluster[i] = cluster_side(k, l, i);
		j.n_clusters *= l->grid[i] / j.cluster[i];
	}
	j.grid_id = atomic_fetch_add(&grid_ids, 1) + 1;
	if (k->info.param_bytes > sizeof(params))
		big = malloc(k->info.param_bytes);
	if (l->cooperative && k->uses_envreg) {
		workspace = mem->alloc(mem->self, 64, 64);
		if (workspace)
			memset(workspace, 0, 64);
	}
	if ((k->info.param_bytes > sizeof(params) && !big) ||
	    (l->cooperative && k->uses_envreg && !workspace)) {
		free(big);
		snprintf(err->text, sizeof(err->text), "no memory to launch '%.60s'", k->info.name);
		return PTX_NO_MEMORY;
	}
	uint8_t *p = big ? big : params;
	if (k->info.param_bytes)
		memcpy(p, l->params, k->info.param_bytes);
	j.params = p;
	j.workspace = (uint64_t)(uintptr_t)workspace;
	pthread_mutex_init(&j.lock, NULL);

	struct crew c;
	c.first = (struct ptx_worker){.job = &j, .lanes = ptx_lanes()};
	c.max = l->max_workers ? l->max_workers : cpu_count();
	c.max = c.max > MAX_WORKERS ? MAX_WORKERS : c.max;
	c.first.leads = c.max > 1 && j.n_clusters > 1;
	c.n_others = 0;
	c.recruited = false;
	c.start_ns = c.first.leads ? clock_ns() : 0;
	work(&c.first);
	*res = c.first.res;
	for (unsigned i = 0; i < c.n_others; i++) {
		pthread_join(c.threads[i], NULL);
		res->warp_instructions += c.others[i]->res.warp_instructions;
		res->thread_instructions += c.others[i]->res.thread_instructions;
		res->global_bytes += c.others[i]->res.global_bytes;
		free(c.others[i]);
	}
	ptx_children_run(&j, res);
	pthread_mutex_destroy(&j.lock);
	if (workspace)
		mem->free(mem->self, workspace);
	free(big);
	return j.status;
}
