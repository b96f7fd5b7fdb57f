// SPDX-License-Identifier: Apache-2.0
#include "collector.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "../common/clock.h"
#include "../common/futex.h"
#include "../common/ticks.h"
#include "recorder.h"
#include "lookout.h"
#include "sights.h"

#define BATCH 1024u                /* records taken at a time */
#define NAMES_EVERY_NS REIN_S      /* how often a client's new kernels are looked for */
#define BUSY_SHARE 9               /* a pass of one is followed by a rest of nine */
#define LONGEST_NS (3600 * REIN_S) /* nothing lasts that long: a client's time is wrong */
#define FOR_EVER (~0ull >> 1)

struct rein_source {
	uint32_t id, pid, uid;
	uint16_t prio;
	char name[sizeof(((struct rein_trace_name *)0)->name)];
	uint64_t joined_ns;
	rein_a64 left_ns;                /* session writes; 0: it is there */
	rein_a32 reclassed;              /* +1 whenever session has written another class_name */
	char class_name[REIN_CLASS_LEN]; /* under the collector's lock */
	const struct rein_ring_area *rings;
	const struct rein_status *status;
	struct rein_source *next;
	/* the collector's thread only */
	struct rein_ring_cursor cursor;
	uint64_t names_ns, looked_ns;
	uint32_t class_told;              /* reclassed, when its class was recorded last */
	bool unnamed;                     /* it wrote something since its kernels were looked at */
	uint64_t named[REIN_KMODEL_ROWS]; /* their keys, by row, as in this segment, */
	uint32_t timed[REIN_KMODEL_ROWS]; /* and how many samples are news: its time is not sure */
	int slot;      /* among those that BPF programs lookout; negative: none */
	int64_t doing; /* as they were told */
};

struct rein_collector {
	pthread_t thread;
	pthread_mutex_t lock; /* of inbox and stats; never held while anything waits */
	struct rein_source *inbox;
	struct rein_collector_stats stats;
	rein_a32 wake; /* +1 whenever there is something to look at; the futex it sleeps on */
	rein_a32 wanted, stop;
	rein_a32 asked, answered; /* rein_collector_sync() */
	/* the thread's only */
	struct rein_source *sources;
	struct rein_tick_clock clock;
	bool recording;
	uint64_t period_ns;
	unsigned fullest; /* of the pass: records found in one ring */
	/* what the arbiter tells: written by its thread, read by ours; as a client's rings, of
	 * which only the first is used: `thread` is the client, and each record a hold */
	struct rein_ring_area *told;
	struct rein_ring_cursor heard;
	struct rein_lookout lookout;
	struct rein_sights sights;
	struct rein_recorder recorder;
};

/* ---------------------------------------------------------------- naming */

static void put_name(struct rein_collector *c, struct rein_trace_name n, const char *name)
{
	snprintf(n.name, sizeof(n.name), "%.39s", name);
	memcpy(rein_recorder_next(&c->recorder), &n, sizeof(n));
	rein_recorder_add(&c->recorder, 1);
}

static void put_client(struct rein_collector *c, const struct rein_source *s)
{
	put_name(c,
	         (struct rein_trace_name){.client = s->id,
	                                  .pid = s->pid,
	                                  .kind = REIN_TRACE_CLIENT,
	                                  .prio = s->prio,
	                                  .uid = s->uid,
	                                  .key = s->joined_ns},
	         s->name);
}

static void put_class(struct rein_collector *c, struct rein_source *s)
{
	char name[REIN_CLASS_LEN];
	pthread_mutex_lock(&c->lock);
	memcpy(name, s->class_name, sizeof(name));
	s->class_told = rein_load_acquire(&s->reclassed);
	pthread_mutex_unlock(&c->lock);
	put_name(c,
	         (struct rein_trace_name){
		     .client = s->id, .pid = s->pid, .kind = REIN_TRACE_CLASS, .uid = s->uid},
	         name);
}

/* A single sample may hold a lazy load. */
static void put_kernel(struct rein_collector *c, const struct rein_source *s,
                       const struct rein_kmodel_entry *e)
{
	uint64_t mean_ns = e->count < 2 ? 0 : e->mean_ns < UINT32_MAX ? e->mean_ns : UINT32_MAX;
	put_name(c,
	         (struct rein_trace_name){.client = s->id,
	                                  .pid = e->count,
	                                  .kind = REIN_TRACE_KERNEL,
	                                  .uid = (uint32_t)mean_ns,
	                                  .key = e->key},
	         e->name);
}

/* Room for some cells; in a new segment everybody is named first. */
static void make_room(struct rein_collector *c, unsigned n, uint64_t now_ns)
{
	if (!rein_recorder_room(&c->recorder, n, now_ns))
		return;
	rein_lookout_new_segment(&c->lookout);
	for (struct rein_source *s = c->sources; s; s = s->next) {
		(void)rein_recorder_room(&c->recorder, 2, now_ns);
		put_client(c, s);
		put_class(c, s);
		memset(s->named, 0, sizeof(s->named));
		s->unnamed = true;
	}
	(void)rein_recorder_room(&c->recorder, n, now_ns);
}

static void name_kernels(struct rein_collector *c, struct rein_source *s, uint64_t now_ns)
{
	struct rein_kmodel_entry e;
	s->names_ns = now_ns;
	s->unnamed = false;
	for (unsigned i = 0; i < REIN_KMODEL_ROWS; i++) {
		if (!rein_kmodel_read(&s->status->kmodel, i, &e) || !e.name[0] ||
		    (e.key == s->named[i] && e.count < s->timed[i]))
			continue;
		make_room(c, 1, now_ns);
		put_kernel(c, s, &e);
		s->named[i] = e.key;
		s->timed[i] = e.count < 16 ? e.count + 1 : UINT32_MAX;
	}
}

/* ---------------------------------------------------------------- taking */

static void bound(struct rein_trace_record *r, const struct rein_tick_clock *clock, uint64_t now_ns)
{
	if (r->flags & REIN_TRACE_TICKS) {
		r->begin = rein_tick_clock_ns(clock, r->begin);
		r->end = rein_tick_clock_ns(clock, r->end);
		r->flags &= (uint8_t)~REIN_TRACE_TICKS;
	}
	if (r->end > now_ns)
		r->end = now_ns;
	if (r->begin > r->end || r->end - r->begin > LONGEST_NS)
		r->begin = r->end;
}

static void take_ring(struct rein_collector *c, struct rein_source *s, unsigned ring, bool last,
                      uint64_t *lost)
{
	unsigned all = 0, n;
	do {
		uint64_t now_ns = rein_now_ns();
		make_room(c, BATCH, now_ns);
		struct rein_trace_record *r = rein_recorder_next(&c->recorder);
		n = rein_ring_read(s->rings, ring, &s->cursor, r, BATCH, last, lost);
		now_ns = rein_now_ns();
		for (unsigned i = 0; i < n; i++) {
			r[i].stamp = s->id;
			bound(&r[i], &c->clock, now_ns);
		}
		rein_recorder_add(&c->recorder, n);
		all += n;
	} while (n == BATCH && all < REIN_RING_CELLS);
	s->unnamed |= all > 0;
	c->fullest = all > c->fullest ? all : c->fullest;
}

static void put_note(struct rein_collector *c, const struct rein_source *s, uint8_t kind,
                     uint64_t begin_ns, uint64_t end_ns, uint64_t count)
{
	make_room(c, 1, end_ns);
	*rein_recorder_next(&c->recorder) = (struct rein_trace_record){
	    .stamp = s->id, .kind = kind, .begin = begin_ns, .end = end_ns, .a = count};
	rein_recorder_add(&c->recorder, 1);
}

/* ---------------------------------------------------------------- what BPF tells */

/* Where its threads say what they do is known once it has mapped its rings. */
static uint64_t ask_lookout(struct rein_collector *c, struct rein_source *s)
{
	if (!c->lookout.bpf || s->slot < 0)
		return 0;
	int64_t doing = (int64_t)rein_load_relaxed(&s->rings->doing);
	if (doing != s->doing)
		rein_bpf_doing(c->lookout.bpf, s->slot, doing);
	s->doing = doing;
	return rein_bpf_lost(c->lookout.bpf, s->slot);
}

static void watch_source(struct rein_collector *c, struct rein_source *s)
{
	s->slot = c->lookout.bpf ? rein_bpf_join(c->lookout.bpf, (pid_t)s->pid, s->id) : -1;
	s->doing = 0;
	(void)ask_lookout(c, s);
}

/* In one segment with the names that it needs. */
static void put_seen(void *arg, const struct rein_trace_record *r,
                     const struct rein_bpf_named names[REIN_BPF_NAMES])
{
	struct rein_collector *c = arg;
	make_room(c, 1 + REIN_BPF_NAMES, r->end);
	for (unsigned i = 0; i < REIN_BPF_NAMES; i++) {
		struct rein_bpf_named who = names[i];
		char comm[sizeof(((struct rein_trace_name *)0)->name)] = "";
		if (!rein_lookout_names(&c->lookout, &who))
			continue;
		memcpy(comm, who.comm, sizeof(who.comm));
		put_name(c, (struct rein_trace_name){.pid = who.pid, .kind = REIN_TRACE_PROCESS},
		         comm);
	}
	*rein_recorder_next(&c->recorder) = *r;
	rein_recorder_add(&c->recorder, 1);
}

static void tell_sees(struct rein_collector *c)
{
	rein_recorder_sees(&c->recorder, (c->lookout.bpf ? rein_bpf_sees(c->lookout.bpf) : 0) |
	                                     (c->sights.last ? REIN_SEES_OPEN : 0));
}

static void load_lookout(struct rein_collector *c)
{
	if (rein_lookout_load(&c->lookout, c->recorder.say))
		for (struct rein_source *s = c->sources; s; s = s->next)
			watch_source(c, s);
	tell_sees(c);
}

/* ---------------------------------------------------------------- all of it */

static void take_source(struct rein_collector *c, struct rein_source *s)
{
	uint64_t left_ns = rein_load_acquire(&s->left_ns), lost = ask_lookout(c, s);
	if (rein_load_acquire(&s->reclassed) != s->class_told) {
		make_room(c, 1, rein_now_ns());
		put_class(c, s);
	}
	for (unsigned i = 0; i < REIN_RING_COUNT; i++)
		if (rein_load_relaxed(&s->rings->ring[i].head) != s->cursor.tail[i])
			take_ring(c, s, i, left_ns != 0, &lost);
	uint64_t now_ns = rein_now_ns();
	if (lost) {
		put_note(c, s, REIN_TRACE_LOST, s->looked_ns, now_ns, lost);
		c->recorder.lost += lost;
	}
	s->looked_ns = now_ns;
	if (s->unnamed && (left_ns || now_ns - s->names_ns >= NAMES_EVERY_NS))
		name_kernels(c, s, now_ns);
	if (left_ns)
		put_note(c, s, REIN_TRACE_LEFT, left_ns, left_ns, 0);
}

static void take_told(struct rein_collector *c)
{
	unsigned n;
	uint64_t lost = 0;
	do {
		make_room(c, BATCH, rein_now_ns());
		struct rein_trace_record *r = rein_recorder_next(&c->recorder);
		n = rein_ring_read(c->told, 0, &c->heard, r, BATCH, false, &lost);
		for (unsigned i = 0; i < n; i++) {
			r[i].stamp = r[i].thread;
			r[i].thread = 0;
			r[i].kind = REIN_TRACE_HOLD;
		}
		rein_recorder_add(&c->recorder, n);
	} while (n == BATCH);
	c->recorder.lost += lost;
}

static void take_all(struct rein_collector *c)
{
	c->fullest = 0;
	rein_tick_clock_adjust(&c->clock);
	take_told(c);
	for (struct rein_source *s = c->sources; s; s = s->next)
		take_source(c, s);
	if (c->lookout.bpf)
		rein_bpf_take(c->lookout.bpf, &(struct rein_bpf_sink){put_seen, c}, rein_now_ns());
	rein_sights_take(&c->sights, &(struct rein_bpf_sink){put_seen, c});
	tell_sees(c);
	rein_recorder_flush(&c->recorder, rein_now_ns());
}

/* ---------------------------------------------------------------- the thread */

static void free_source(struct rein_source *s)
{
	if (s->rings)
		munmap((void *)(uintptr_t)s->rings, sizeof(*s->rings));
	if (s->status)
		munmap((void *)(uintptr_t)s->status, sizeof(*s->status));
	free(s);
}

static void adopt(struct rein_collector *c)
{
	pthread_mutex_lock(&c->lock);
	struct rein_source *fresh = c->inbox;
	c->inbox = NULL;
	pthread_mutex_unlock(&c->lock);
	while (fresh) {
		struct rein_source *s = fresh;
		fresh = s->next;
		s->next = c->sources;
		c->sources = s;
		s->looked_ns = s->joined_ns;
		watch_source(c, s);
		if (!c->recording)
			continue;
		make_room(c, 2, s->joined_ns);
		put_client(c, s);
		put_class(c, s);
	}
}

static void bury(struct rein_collector *c)
{
	struct rein_source **at = &c->sources;
	while (*at) {
		struct rein_source *s = *at;
		if (!rein_load_acquire(&s->left_ns)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		if (c->lookout.bpf && s->slot >= 0)
			rein_bpf_leave(c->lookout.bpf, s->slot);
		free_source(s);
	}
}

/* Often enough that no ring is more than a quarter full, and not oftener. */
static void pace(struct rein_collector *c, uint64_t took_ns)
{
	if (c->fullest > REIN_RING_CELLS / 4)
		c->period_ns /= 2;
	else if (c->fullest < REIN_RING_CELLS / 16)
		c->period_ns *= 2;
	if (c->period_ns < REIN_COLLECTOR_PERIOD_MIN_NS)
		c->period_ns = REIN_COLLECTOR_PERIOD_MIN_NS;
	if (c->period_ns > REIN_COLLECTOR_PERIOD_MAX_NS)
		c->period_ns = REIN_COLLECTOR_PERIOD_MAX_NS;
	if (c->period_ns < took_ns * BUSY_SHARE)
		c->period_ns = took_ns * BUSY_SHARE;
}

static void publish(struct rein_collector *c)
{
	pthread_mutex_lock(&c->lock);
	c->stats = (struct rein_collector_stats){.recording = c->recording,
	                                         .failing = c->recording && c->recorder.failing,
	                                         .records = c->recorder.written,
	                                         .lost = c->recorder.lost,
	                                         .bytes = c->recorder.bytes};
	rein_lookout_report(&c->lookout, &c->stats.lookout);
	pthread_mutex_unlock(&c->lock);
}

static void begin_recording(struct rein_collector *c)
{
	rein_tick_clock_init(&c->clock);
	c->recording = true;
	rein_sights_begin(&c->sights, rein_now_ns());
	c->period_ns = REIN_COLLECTOR_PERIOD_MIN_NS;
	c->recorder.retry_ns = 0;
	make_room(c, 1, rein_now_ns());
}

static void end_recording(struct rein_collector *c)
{
	for (struct rein_source *s = c->sources; s; s = s->next)
		s->names_ns = 0; /* whatever is still to be named is */
	take_all(c);
	rein_recorder_close(&c->recorder, rein_now_ns());
	rein_sights_forget(&c->sights);
	c->recording = false;
}

/* One look at everything; returns until when to sleep. */
static uint64_t look(struct rein_collector *c)
{
	uint32_t asked = rein_load_acquire(&c->asked);
	bool wanted = rein_load_acquire(&c->wanted) && !rein_load_acquire(&c->stop);
	uint64_t began_ns = rein_now_ns();
	adopt(c);
	if (wanted)
		load_lookout(c);
	if (wanted && !c->recording)
		begin_recording(c);
	else if (!wanted && c->recording)
		end_recording(c);
	else if (c->recording)
		take_all(c);
	bury(c);
	publish(c);
	rein_store_release(&c->answered, asked);
	rein_futex_wake_all(&c->answered);
	rein_lookout_unload(&c->lookout, c->recording);
	uint64_t now_ns = rein_now_ns();
	if (!c->recording)
		return FOR_EVER;
	pace(c, now_ns - began_ns);
	return now_ns + c->period_ns;
}

static void *collector_main(void *arg)
{
	struct rein_collector *c = arg;
	prctl(PR_SET_NAME, "reind-observer");
	for (;;) {
		uint32_t seen = rein_load_acquire(&c->wake);
		bool stop = rein_load_acquire(&c->stop);
		uint64_t until_ns = look(c);
		if (stop)
			return NULL;
		rein_futex_wait(&c->wake, seen, until_ns);
	}
}

static void wake(struct rein_collector *c)
{
	rein_add_seqcst(&c->wake, 1);
	rein_futex_wake_all(&c->wake);
}

/* ---------------------------------------------------------------- from the session */

static void free_collector(struct rein_collector *c)
{
	if (c->told)
		munmap(c->told, sizeof(*c->told));
	rein_sights_fini(&c->sights);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int rein_collector_start(struct rein_collector **out, const char *run_dir, gid_t group,
                         void (*say)(const char *line))
{
	struct rein_collector *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	rein_recorder_init(&c->recorder, run_dir, group);
	c->recorder.say = say;
	pthread_mutex_init(&c->lock, NULL);
	rein_sights_init(&c->sights);
	void *told = mmap(NULL, sizeof(*c->told), PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	c->told = told == MAP_FAILED ? NULL : told;
	int err = c->told ? -pthread_create(&c->thread, NULL, collector_main, c) : -ENOMEM;
	if (err) {
		free_collector(c);
		return err;
	}
	*out = c;
	return 0;
}

void rein_collector_stop(struct rein_collector *c)
{
	rein_store_release(&c->stop, 1);
	wake(c);
	pthread_join(c->thread, NULL);
	for (struct rein_source *s = c->sources, *next; s; s = next) {
		next = s->next;
		free_source(s);
	}
	free_collector(c);
}

static const void *map(int fd, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? NULL : at;
}

struct rein_source *rein_collector_join(struct rein_collector *c,
                                        const struct rein_source_info *info)
{
	struct rein_source *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->id = info->id;
	s->pid = (uint32_t)info->pid;
	s->uid = info->uid;
	s->prio = (uint16_t)info->prio;
	s->joined_ns = rein_now_ns();
	snprintf(s->name, sizeof(s->name), "%s", info->name);
	snprintf(s->class_name, sizeof(s->class_name), "%s", info->class_name);
	s->rings = map(info->rings_fd, sizeof(*s->rings));
	s->status = map(info->status_fd, sizeof(*s->status));
	if (!s->rings || !s->status) {
		free_source(s);
		return NULL;
	}
	pthread_mutex_lock(&c->lock);
	s->next = c->inbox;
	c->inbox = s;
	pthread_mutex_unlock(&c->lock);
	if (rein_load_relaxed(&c->wanted))
		wake(c);
	return s;
}

void rein_collector_leave(struct rein_collector *c, struct rein_source *s)
{
	if (!s)
		return;
	rein_store_release(&s->left_ns, rein_now_ns());
	wake(c);
}

void rein_collector_reclass(struct rein_collector *c, struct rein_source *s, const char *class_name)
{
	if (!s)
		return;
	pthread_mutex_lock(&c->lock);
	snprintf(s->class_name, sizeof(s->class_name), "%s", class_name);
	rein_add_seqcst(&s->reclassed, 1);
	pthread_mutex_unlock(&c->lock);
}

void rein_collector_seen(struct rein_collector *c, const struct rein_bystanders *seen,
                         uint64_t now_ns)
{
	if (rein_load_relaxed(&c->wanted))
		rein_sights_add(&c->sights, seen, now_ns);
}

void rein_collector_watch(struct rein_collector *c, uint32_t wanted)
{
	rein_lookout_want(&c->lookout, wanted);
	if (rein_load_relaxed(&c->wanted))
		wake(c);
}

void rein_collector_record(struct rein_collector *c, bool on)
{
	rein_store_release(&c->wanted, on);
	rein_collector_sync(c);
}

void rein_collector_hold(struct rein_collector *c, const struct rein_hold_note *n)
{
	const uint64_t word[8] = {n->client, (uint64_t)n->mode << 16 | REIN_TRACE_GATE, n->begin_ns,
	                          n->end_ns, (uint64_t)n->holder << 32};
	rein_ring_put(c->told, 0, word);
}

void rein_collector_sync(struct rein_collector *c)
{
	uint32_t ticket = rein_add_seqcst(&c->asked, 1) + 1;
	uint64_t until_ns = rein_now_ns() + REIN_COLLECTOR_SYNC_NS;
	uint32_t seen;
	wake(c);
	while ((int32_t)((seen = rein_load_acquire(&c->answered)) - ticket) < 0 &&
	       rein_now_ns() < until_ns)
		rein_futex_wait(&c->answered, seen, until_ns);
}

void rein_collector_stats(struct rein_collector *c, struct rein_collector_stats *out)
{
	pthread_mutex_lock(&c->lock);
	*out = c->stats;
	pthread_mutex_unlock(&c->lock);
}
