// SPDX-License-Identifier: Apache-2.0
/*
 * random_program.c: a CUDA program made of random calls, by one to four threads, that has exactly
 * one result; random/model.h says what keeps it to one. It prints every call with its status, what
 * it reads, and at its end all memory; lines that begin with @ map streams to their ids in the
 * order log. So two runs of one seed may differ in nothing else.
 *
 *	random_program --seed N [--calls N] [--phase-calls N] [--trace] [--no-pauses]
 *	random_program --uuid     prints the devices' UUIDs
 *
 * A program is a row of phases between barriers: in an open one all threads do anything but
 * capture, in one with local captures they capture in streams and modes that others cannot
 * disturb, and alone one thread may do what others would notice.
 */
#include "random/mistakes.h"

#define PHASES 8
#define GIFTS 2

struct options opt = {.calls = 400};
static struct world worlds[THREADS];
static unsigned n_threads;
static pthread_barrier_t barrier;
static struct {
	enum phase_kind kind;
	unsigned soloist;
} phases[PHASES];

/* A cell that goes to another thread, with the event after its last command. */
static struct gift {
	struct cell cell;
	CUevent event;
	struct clocks after;
} gifts[THREADS][GIFTS];
static struct stream *loans[THREADS]; /* of a stream, for a phase */

/* ---------------------------------------------------------------- one step */

static void pause_a_little(struct world *w)
{
	uint64_t r = mix64(&w->noise);
	if (!opt.no_pauses && r % 16 == 0)
		usleep((useconds_t)(r >> 32) % 400);
}

struct side { /* for a thread that comes and goes */
	struct world *w;
	struct step k;
	CUresult made, waited;
};

static void *side_main(void *arg)
{
	struct side *t = arg;
	t->made = cuCtxSetCurrent(t->w->ctx[0]);
	if (t->made == CUDA_SUCCESS)
		t->made = cuLaunchKernel(t->k.f, BLOCKS, 1, 1, CELL / BLOCKS, 1, 1, 0,
		                         CU_STREAM_PER_THREAD, t->k.params, NULL);
	t->waited = cuStreamSynchronize(CU_STREAM_PER_THREAD);
	return NULL;
}

/* A thread whose only work is in its own default stream. */
static void do_side_thread(struct world *w)
{
	struct cell *c = pick_cell(w, true, 0, NULL);
	struct side t = {.w = w};
	pthread_t thread;
	if (!c)
		return;
	settle(w, c);
	step_set(&t.k, w->step[0][0], c, w);
	must(!pthread_create(&thread, NULL, side_main, &t) && !pthread_join(thread, NULL),
	     "no thread");
	CALL(w, t.made, "cuLaunchKernel k0 c%u in a thread of its own", cell_no(w, c));
	CALL(w, t.waited, "cuStreamSynchronize in a thread of its own");
}

static void one_step(struct world *w)
{
	static const struct {
		void (*do_it)(struct world *w);
		unsigned weight;
	} kinds[] = {{do_step, 18},       {do_burst, 5},         {do_mix, 6},
	             {do_set, 7},         {do_upload, 6},        {do_download, 6},
	             {do_copy, 6},        {do_peer_copy, 3},     {do_host_function, 4},
	             {do_host_write, 2},  {do_stream_create, 2}, {do_stream_destroy, 1},
	             {do_stream_ask, 3},  {do_sync, 4},          {do_event, 8},
	             {do_elapsed, 1},     {do_alloc, 4},         {do_free, 2},
	             {do_memory_ask, 2},  {do_pool, 1},          {do_module, 1},
	             {do_context, 3},     {do_capture, 5},       {do_graph, 8},
	             {do_graph_nodes, 1}, {do_mistake, 6},       {do_side_thread, 1}};
	unsigned n = sizeof(kinds) / sizeof(kinds[0]), sum = 0, i = 0;
	for (unsigned k = 0; k < n; k++)
		sum += kinds[k].weight;
	for (unsigned at = pick(w, sum); at >= kinds[i].weight; i++)
		at -= kinds[i].weight;
	pause_a_little(w);
	kinds[i].do_it(w);
}

/* ---------------------------------------------------------------- phases */

/* Loans end, and begin. */
static void pass_streams(void)
{
	for (unsigned i = 0; i < n_threads; i++) {
		if (worlds[i].lent)
			worlds[i].lent->user = NULL;
		worlds[i].lent = NULL;
	}
	for (unsigned i = 0; i < n_threads; i++) {
		struct world *to = &worlds[(i + 1) % n_threads];
		if (loans[i])
			loans[i]->user = to;
		to->lent = loans[i];
		loans[i] = NULL;
	}
}

/* Between two barriers, by one thread: all know what all know. */
static void meet(void)
{
	struct clocks all = {{0}}, queued = {{0}};
	for (unsigned i = 0; i < n_threads; i++) {
		struct world *w = &worlds[i];
		join(&all, &w->host);
		join(&queued, &w->legacy);
		for (unsigned k = 0; k < n_streams(w); k++) {
			struct stream *s = any_stream(w, k);
			if (s && s->live && s->ctx == 0 && (is_blocking(s) || s->kind == LEGACY))
				join(&queued, &s->last);
		}
	}
	for (unsigned i = 0; i < n_threads; i++) {
		struct world *w = &worlds[i];
		join(&w->host, &all);
		w->legacy = queued;
	}
}

/* What is left of streams that are gone can only the context tell, which a phase may forbid. */
static void settle_lost(struct world *w)
{
	for (unsigned i = 0; i < CELLS; i++) {
		struct cell *c = &w->cells[i];
		if (c->kind != NO_CELL && !known_to_host(w, c) && !live_stream(w, c))
			settle(w, c);
	}
}

/* A stream that another thread uses for a phase; it comes back with its work done. meet() changes
 * its user. */
static void lend(struct world *w)
{
	if (w->lent)
		sync_stream(w, w->lent);
	struct stream *s = pick_stream(w, 0);
	if (n_threads == 1 || s == w->lent || s->kind == LEGACY || s->kind == PER_THREAD ||
	    chance(w, 40))
		return;
	sync_stream(w, s);
	loans[w->id] = s;
}

static void give(struct world *w)
{
	lend(w);
	for (unsigned i = 0; i < GIFTS; i++) {
		struct gift *g = &gifts[w->id][i];
		struct cell *c = pick_cell(w, true, 0, NULL);
		g->cell.kind = NO_CELL;
		if (!c || c->kind != DEVICE || used_by_graph(w, c) || chance(w, 30))
			continue;
		struct stream *s = live_stream(w, c);
		if (!s || s->ctx != 0)
			continue; /* settled, or between contexts: stays */
		enter(w, 0);
		if (!g->event)
			must(!cuEventCreate(&g->event, CU_EVENT_DISABLE_TIMING), "no event");
		CUresult r =
		    CALL(w, cuEventRecord(g->event, s->handle), "cuEventRecord gift %s", s->name);
		if (r != CUDA_SUCCESS)
			continue;
		g->after = s->done;
		g->cell = *c;
		c->kind = NO_CELL;
	}
}

/* Of the thread before: by its event, in a stream or on the host. */
static void take(struct world *w)
{
	for (unsigned i = 0; i < GIFTS; i++) {
		struct gift *g = &gifts[(w->id + n_threads - 1) % n_threads][i];
		struct cell *c = free_cell(w);
		if (g->cell.kind == NO_CELL)
			continue;
		must(c != NULL, "no room for a gift");
		*c = g->cell;
		enter(w, 0);
		if (chance(w, 40)) {
			CALL(w, cuEventSynchronize(g->event), "cuEventSynchronize gift c%u",
			     cell_no(w, c));
			join(&w->host, &g->after);
			continue;
		}
		struct stream *s = pick_stream(w, 0);
		CALL(w, cuStreamWaitEvent(s->handle, g->event, 0), "cuStreamWaitEvent %s gift c%u",
		     s->name, cell_no(w, c));
		join(&s->done, &g->after);
		do_step_on(w, s, c);
	}
}

static void phase(struct world *w, unsigned i)
{
	bool alone = phases[i].kind == SOLO;
	unsigned most = opt.phase_calls ? opt.phase_calls : 20 + (unsigned)(opt.seed % 7) * 5;
	if (alone)
		most *= 2;
	unsigned until = w->calls + most;
	w->phase = phases[i].kind;
	while ((!alone || phases[i].soloist == w->id) && w->calls < until && w->calls < w->budget)
		one_step(w);
}

static void hold_hands(struct world *w, bool pass)
{
	pthread_barrier_wait(&barrier);
	if (w->id == 0)
		meet();
	if (w->id == 0 && pass)
		pass_streams();
	pthread_barrier_wait(&barrier);
}

/* ---------------------------------------------------------------- a thread's life */

static void make_green(struct world *w)
{
	CUdevResource all, part;
	CUdevResourceDesc desc;
	unsigned n = 1;
	CUresult r = cuDeviceGetDevResource(w->device[0], &all, CU_DEV_RESOURCE_TYPE_SM);
	if (r == CUDA_SUCCESS)
		r = cuDevSmResourceSplitByCount(&part, &n, &all, NULL, 0, 2);
	if (r == CUDA_SUCCESS)
		r = cuDevResourceGenerateDesc(&desc, &part, 1);
	if (r == CUDA_SUCCESS)
		r = cuGreenCtxCreate(&w->green, desc, w->device[0], CU_GREEN_CTX_DEFAULT_STREAM);
	if (CALL(w, r, "cuGreenCtxCreate") != CUDA_SUCCESS)
		w->green = NULL;
}

static void begin(struct world *w)
{
	CALL(w, cuCtxSetCurrent(w->ctx[0]), "cuCtxSetCurrent 0");
	w->cur = 0;
	add_default_streams(w, 0);
	load_module(w, 0);
	make_words(w, 0);
	make_green(w);
	make_stream(w, BLOCKING);
	make_stream(w, NON_BLOCKING);
	make_stream(w, chance(w, 50) ? PRIORITY : GREEN);
	for (unsigned i = 0; i < 4; i++)
		new_event(w, 0);
	for (unsigned i = 0; i < 10; i++)
		do_alloc(w);
	while (!pick_cell(w, true, 0, NULL) || !pick_cell(w, false, 0, NULL))
		do_alloc(w);
}

static void dump(struct world *w)
{
	unwind(w);
	for (unsigned i = 0; i < CELLS; i++) {
		struct cell *c = &w->cells[i];
		uint32_t mem[CELL], hash = 2166136261u;
		if (c->kind == NO_CELL)
			continue;
		settle(w, c);
		if (on_device(c)) {
			enter(w, c->ctx);
			must(!cuMemcpyDtoH(mem, c->dev, CELL_BYTES), "the last copy failed");
		} else {
			memcpy(mem, c->host, CELL_BYTES);
		}
		for (unsigned k = 0; k < CELL; k++)
			hash = (hash ^ mem[k]) * 16777619u;
		out(w, "%u. c%u = %08x: %08x %08x %08x … %08x\n", w->id, i, hash, mem[0], mem[1],
		    mem[2], mem[CELL - 1]);
	}
	for (int ctx = 0; ctx < CONTEXTS; ctx++) {
		uint32_t mem[WORDS];
		if (!w->ctx[ctx] || !w->n_words[ctx])
			continue;
		enter(w, ctx);
		must(!cuCtxSynchronize() && !cuMemcpyDtoH(mem, w->words[ctx], sizeof(mem)),
		     "the last copy of words failed");
		for (unsigned k = 0; k < w->n_words[ctx]; k++)
			out(w, "%u. w%d.%u = %u\n", w->id, ctx, k, mem[k]);
	}
}

static void end(struct world *w)
{
	w->phase = SOLO;
	dump(w);
	if (chance(w, 30))
		ruin_own_context(w);
	unwind(w);
	if (w->ctx[1])
		CALL(w, cuCtxDestroy(w->ctx[1]), "cuCtxDestroy");
	w->ctx[1] = NULL;
}

static void *thread_main(void *arg)
{
	struct world *w = arg;
	begin(w);
	for (unsigned i = 0; i < PHASES; i++) {
		hold_hands(w, true);
		take(w);
		hold_hands(w, false);
		phase(w, i);
		hold_hands(w, false);
		w->phase = OPEN;
		settle_lost(w);
		give(w);
	}
	hold_hands(w, true);
	take(w);
	for (unsigned i = 0; i < n_threads; i++) { /* one by one: ctx syncs and ruins */
		hold_hands(w, false);
		if (i == w->id)
			end(w);
	}
	hold_hands(w, false);
	return NULL;
}

/* ---------------------------------------------------------------- the program */

static void print_uuids(void)
{
	int n = 0;
	must(!cuInit(0) && !cuDeviceGetCount(&n), "no driver");
	for (int i = 0; i < n; i++) {
		CUuuid u;
		must(!cuDeviceGetUuid(&u, i), "no UUID");
		for (unsigned k = 0; k < sizeof(u.bytes); k++)
			printf("%02x", (unsigned char)u.bytes[k]);
		printf("\n");
	}
}

static void plan(void)
{
	uint64_t r = opt.seed * 0x2545f4914f6cdd1du + 1;
	n_threads = 1 + (unsigned)(mix64(&r) >> 40) % THREADS;
	for (unsigned i = 0; i < PHASES; i++) {
		unsigned k = (unsigned)(mix64(&r) >> 40) % 10;
		phases[i].kind = k < 4 ? OPEN : k < 7 ? LOCAL_CAPTURES : SOLO;
		phases[i].soloist = (unsigned)(mix64(&r) >> 40) % n_threads;
	}
	for (unsigned i = 0; i < n_threads; i++) {
		worlds[i].id = i;
		worlds[i].random = mix64(&r);
		worlds[i].noise = mix64(&r);
		worlds[i].cur = -1;
	}
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;
		if (!strcmp(argv[i], "--seed") && more)
			opt.seed = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--calls") && more)
			opt.calls = (unsigned)strtoul(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--phase-calls") && more)
			opt.phase_calls = (unsigned)strtoul(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--trace"))
			opt.trace = true;
		else if (!strcmp(argv[i], "--no-pauses"))
			opt.no_pauses = true;
		else if (!strcmp(argv[i], "--uuid")) {
			print_uuids();
			exit(0);
		} else {
			fprintf(stderr,
			        "usage: %s --seed N [--calls N] [--phase-calls N] [--trace] "
			        "[--no-pauses] | --uuid\n",
			        argv[0]);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS];
	CUcontext primary;
	int devices = 0;
	unsigned calls = 0;
	parse(argc, argv);
	plan();
	must(!cuInit(0) && !cuDeviceGetCount(&devices), "no driver");
	must(!cuDevicePrimaryCtxRetain(&primary, 0), "no context");
	must(!pthread_barrier_init(&barrier, NULL, n_threads), "no barrier");
	for (unsigned i = 0; i < n_threads; i++) {
		struct world *w = &worlds[i];
		w->ctx[0] = primary;
		w->device[1] = devices > 1 ? (int)(opt.seed + i) % 2 : 0;
		w->budget = opt.calls / n_threads;
		must(!pthread_create(&thread[i], NULL, thread_main, w), "no thread");
	}
	for (unsigned i = 0; i < n_threads; i++)
		must(!pthread_join(thread[i], NULL), "a thread is lost");
	CUresult r = cuDevicePrimaryCtxRelease(0);
	printf("%u threads\n", n_threads);
	for (unsigned i = 0; i < n_threads; i++) {
		fwrite(worlds[i].log, 1, worlds[i].log_len, stdout);
		calls += worlds[i].calls;
	}
	printf("%u calls; cuDevicePrimaryCtxRelease: %d\n", calls, (int)r);
	return 0;
}
