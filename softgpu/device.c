// SPDX-License-Identifier: Apache-2.0
/* device.c: see device.h. */
#include "device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../common/clock.h"
#include "../common/futex.h"

#define MAGIC 0x55504754464f5303ull /* changes with the layout */
#define WORDS (sizeof(struct sg_ledger) / 8)
#define BUFFERS (2 * SG_SEATS)

struct place {                 /* of one process */
	pthread_mutex_t alive; /* robust; held by its engine thread */
	rein_a32 bell;
	rein_a32 pid; /* for people: who sits here */
};

struct table {         /* one device */
	rein_a64 head; /* generation << 8 | buffer that holds the ledger */
	rein_a64 buffer[BUFFERS][WORDS];
};

struct mps_buffer { /* a struct sg_mps: only what it uses is ever touched */
	rein_a64 word[sizeof(struct sg_mps) / 8];
};

struct mps_table { /* one device whose processes run together */
	rein_a64 head;
	struct mps_buffer buffer[BUFFERS];
};

/* In MPS mode a struct mps_table for each device follows. */
struct segment {
	uint64_t magic; /* written last, under the file's lock */
	uint64_t size;
	uint64_t timeslice_ns, switch_ns; /* the first process' figures hold for all */
	uint32_t copy_engines, n_devices;
	uint32_t mps, sms;
	struct place place[SG_SEATS];
	struct table table[SG_DEVICES_MAX];
};

struct sg_share {
	struct segment *seg;
	size_t size;
	const struct sg_model *model;
	struct sg_mps *mps; /* where a round is made; NULL: not in MPS mode */
	uint64_t seen[SG_DEVICES_MAX];
	uint32_t seat;
	uint32_t n_devices;
	char name[128];
};

/* ---- ledger transactions */

static uint64_t load_ledger(const struct table *t, struct sg_ledger *l)
{
	uint64_t *to = (uint64_t *)l;
	for (;;) {
		uint64_t head = rein_load_acquire(&t->head);
		const rein_a64 *from = t->buffer[head & 0xff];
		for (size_t i = 0; i < WORDS; i++)
			to[i] = rein_load_relaxed(&from[i]);
		rein_fence_acquire(); /* pairs with the release fence in publish() */
		if (rein_load_relaxed(&t->head) == head)
			return head;
	}
}

/* False: somebody else published since `head` was loaded. */
static bool publish(struct table *t, uint32_t seat, uint64_t head, const struct sg_ledger *l)
{
	uint32_t mine = 2 * seat;
	if ((head & 0xff) == mine)
		mine++;
	const uint64_t *from = (const uint64_t *)l;
	rein_fence_release(); /* a reader of the words below sees that head has moved on */
	for (size_t i = 0; i < WORDS; i++)
		rein_store_relaxed(&t->buffer[mine][i], from[i]);
	return rein_cas(&t->head, &head, ((head >> 8) + 1) << 8 | mine);
}

static void ring_bells(struct segment *seg, uint64_t bells, uint32_t self)
{
	for (; bells; bells &= bells - 1) {
		uint32_t seat = (uint32_t)__builtin_ctzll(bells);
		if (seat == self)
			continue;
		rein_add_release(&seg->place[seat].bell, 1);
		rein_futex_wake_all(&seg->place[seat].bell);
	}
}

enum change { SETTLE, REQUEST, GIVE, VACATE, COPY, HOLD, RELEASE, EVICT, SLICE };

struct act {
	enum change change;
	uint32_t seat;
	enum sg_copy_dir dir;
	uint64_t taken, at_ns, dur_ns;
	uint64_t result;
};

static void apply(struct sg_ledger *l, struct act *a, uint64_t now)
{
	switch (a->change) {
	case SETTLE:
		l->seat[a->seat].taken = a->taken;
		sg_ledger_settle(l, now);
		break;
	case REQUEST:
		l->seat[a->seat].taken = a->taken;
		sg_ledger_request(l, a->seat, a->at_ns, now);
		break;
	case GIVE:
		sg_ledger_give(l, a->seat, a->at_ns, now);
		break;
	case VACATE:
		sg_ledger_vacate(l, a->seat, now);
		break;
	case COPY:
		a->result = sg_ledger_copy(l, a->dir, a->at_ns, a->dur_ns);
		break;
	case HOLD:
	case RELEASE:
		sg_ledger_hold(l, a->seat, a->change == HOLD, a->at_ns, now);
		break;
	case EVICT:
		sg_ledger_evict(l, a->seat, a->at_ns, now);
		break;
	case SLICE:
		l->seat[a->seat].slice_ns = a->dur_ns;
		break;
	}
}

/* Lock-free: a retry means that somebody else got on. */
static void transact(struct sg_share *s, unsigned device, struct act *a)
{
	struct table *t = &s->seg->table[device];
	struct sg_ledger l;
	uint64_t head, bells;
	do {
		head = load_ledger(t, &l);
		apply(&l, a, rein_now_ns());
		bells = l.bells;
		l.bells = 0;
	} while (!publish(t, s->seat, head, &l));
	ring_bells(s->seg, bells, s->seat);
}

void sg_share_view(struct sg_share *s, unsigned device, struct sg_share_view *v)
{
	struct sg_ledger l;
	load_ledger(&s->seg->table[device], &l);
	v->seat = l.seat[s->seat];
	v->owner = l.owner == s->seat;
	v->owner_end_ns = sg_ledger_owner_end(&l);
}

void sg_share_settle(struct sg_share *s, unsigned device, uint64_t taken)
{
	struct act a = {.change = SETTLE, .seat = s->seat, .taken = taken};
	transact(s, device, &a);
}

void sg_share_request(struct sg_share *s, unsigned device, uint64_t taken, uint64_t want_ns)
{
	struct act a = {.change = REQUEST, .seat = s->seat, .taken = taken, .at_ns = want_ns};
	transact(s, device, &a);
}

void sg_share_give(struct sg_share *s, unsigned device, uint64_t at_ns)
{
	struct act a = {.change = GIVE, .seat = s->seat, .at_ns = at_ns};
	transact(s, device, &a);
}

uint64_t sg_share_copy(struct sg_share *s, unsigned device, enum sg_copy_dir dir, uint64_t ready_ns,
                       uint64_t dur_ns)
{
	struct act a = {
	    .change = COPY, .seat = s->seat, .dir = dir, .at_ns = ready_ns, .dur_ns = dur_ns};
	transact(s, device, &a);
	return a.result;
}

void sg_share_hold(struct sg_share *s, unsigned device, bool held, uint64_t at_ns)
{
	struct act a = {.change = held ? HOLD : RELEASE, .seat = s->seat, .at_ns = at_ns};
	transact(s, device, &a);
}

void sg_share_evict(struct sg_share *s, unsigned device, uint64_t at_ns)
{
	struct act a = {.change = EVICT, .seat = s->seat, .at_ns = at_ns};
	transact(s, device, &a);
}

void sg_share_slice(struct sg_share *s, unsigned device, uint64_t slice_ns)
{
	struct act a = {.change = SLICE, .seat = s->seat, .dur_ns = slice_ns};
	transact(s, device, &a);
}

rein_a32 *sg_share_bell(struct sg_share *s)
{
	return &s->seg->place[s->seat].bell;
}

/* ---- rounds where processes run together, transactions as well */

static struct mps_table *mps_table(struct segment *seg, unsigned device)
{
	return (struct mps_table *)(seg + 1) + device;
}

#define MPS_HEAD_WORDS (offsetof(struct sg_mps, job) / 8)
#define MPS_JOB_WORDS (sizeof(struct sg_mps_job) / 8)
#define MPS_COHORT_WORDS (sizeof(struct sg_mps_cohort) / 8)

/* The ranges of words that are in use, by the counts in `m`. False: no more of them. */
static bool mps_range(const struct sg_mps *m, uint32_t sms, uint32_t i, size_t *at, size_t *n)
{
	*at = i ? MPS_HEAD_WORDS : 0;
	*n = i ? m->n_jobs * MPS_JOB_WORDS : MPS_HEAD_WORDS;
	if (i < 2)
		return true;
	*at = offsetof(struct sg_mps, cohort) / 8 + (i - 2) * MPS_COHORT_WORDS;
	*n = (offsetof(struct sg_mps_cohort, on_sm) + sms + 7) / 8;
	return i - 2 < m->n_cohorts;
}

static uint64_t load_mps(const struct mps_table *t, struct sg_mps *m, uint32_t sms)
{
	uint64_t *to = (uint64_t *)m;
	size_t at, n;
	for (;;) {
		uint64_t head = rein_load_acquire(&t->head);
		const rein_a64 *from = t->buffer[head & 0xff].word;
		for (uint32_t r = 0; mps_range(m, sms, r, &at, &n); r++) {
			for (size_t i = at; i < at + n; i++)
				to[i] = rein_load_relaxed(&from[i]);
			/* may be torn until head is looked at again */
			m->n_jobs = m->n_jobs < SG_MPS_JOBS ? m->n_jobs : SG_MPS_JOBS;
			m->n_cohorts =
			    m->n_cohorts < SG_MPS_COHORTS ? m->n_cohorts : SG_MPS_COHORTS;
		}
		rein_fence_acquire(); /* pairs with the release fence in publish_mps() */
		if (rein_load_relaxed(&t->head) == head)
			return head;
	}
}

static bool publish_mps(struct sg_share *s, struct mps_table *t, uint64_t *head)
{
	uint32_t mine = 2 * s->seat;
	if ((*head & 0xff) == mine)
		mine++;
	const uint64_t *from = (const uint64_t *)s->mps;
	size_t at, n;
	rein_fence_release();
	for (uint32_t r = 0; mps_range(s->mps, s->seg->sms, r, &at, &n); r++)
		for (size_t i = at; i < at + n; i++)
			rein_store_relaxed(&t->buffer[mine].word[i], from[i]);
	uint64_t next = ((*head >> 8) + 1) << 8 | mine;
	if (!rein_cas(&t->head, head, next))
		return false;
	*head = next;
	return true;
}

int sg_share_round(struct sg_share *s, unsigned device, struct sg_mps_round *r)
{
	struct mps_table *t = mps_table(s->seg, device);
	uint64_t head, bells;
	r->seat = s->seat;
	do {
		head = load_mps(t, s->mps, s->seg->sms);
		int e = sg_mps_round(s->mps, s->model, r);
		if (e)
			return e;
		bells = s->mps->bells;
		s->mps->bells = 0;
	} while (r->changed && !publish_mps(s, t, &head));
	s->seen[device] = head;
	sg_mps_commit(r);
	ring_bells(s->seg, bells, s->seat);
	return 0;
}

bool sg_share_news(struct sg_share *s, unsigned device)
{
	return rein_load_acquire(&mps_table(s->seg, device)->head) != s->seen[device];
}

static void seat_mps(struct sg_share *s, uint32_t seat, uint32_t sms)
{
	for (unsigned d = 0; s->mps && d < s->n_devices; d++) {
		struct mps_table *t = mps_table(s->seg, d);
		uint64_t head, bells;
		do {
			head = load_mps(t, s->mps, s->seg->sms);
			sg_mps_seat(s->mps, s->model, seat, sms);
			bells = s->mps->bells;
			s->mps->bells = 0;
		} while (!publish_mps(s, t, &head));
		ring_bells(s->seg, bells, s->seat);
	}
}

/* ---- seats */

static void vacate(struct sg_share *s, uint32_t seat)
{
	for (unsigned d = 0; d < s->n_devices; d++) {
		struct act a = {.change = VACATE, .seat = seat};
		transact(s, d, &a);
	}
	seat_mps(s, seat, 0);
	rein_store_relaxed(&s->seg->place[seat].pid, 0);
}

void sg_share_bury(struct sg_share *s)
{
	for (uint32_t i = 0; i < SG_SEATS; i++) {
		struct place *p = &s->seg->place[i];
		if (i == s->seat || !rein_load_relaxed(&p->pid))
			continue;
		int e = pthread_mutex_trylock(&p->alive);
		if (e != 0 && e != EOWNERDEAD)
			continue; /* EBUSY: it lives */
		vacate(s, i);
		if (e == EOWNERDEAD)
			pthread_mutex_consistent(&p->alive);
		pthread_mutex_unlock(&p->alive);
	}
}

/* The caller holds the file's lock, so only deaths happen meanwhile. */
static int take_seat(struct sg_share *s)
{
	for (uint32_t i = 0; i < SG_SEATS; i++) {
		struct place *p = &s->seg->place[i];
		int e = pthread_mutex_trylock(&p->alive);
		if (e != 0 && e != EOWNERDEAD)
			continue;
		if (e == EOWNERDEAD)
			pthread_mutex_consistent(&p->alive);
		s->seat = i;
		vacate(s, i); /* whatever a dead process left there */
		seat_mps(s, i, s->model->sms);
		rein_store_relaxed(&p->pid, (uint32_t)getpid());
		return 0;
	}
	return -EUSERS;
}

static bool anybody_else(struct sg_share *s)
{
	bool found = false;
	for (uint32_t i = 0; i < SG_SEATS; i++) {
		pthread_mutex_t *alive = &s->seg->place[i].alive;
		if (i == s->seat)
			continue;
		int e = pthread_mutex_trylock(alive);
		if (e == EOWNERDEAD)
			pthread_mutex_consistent(alive);
		if (e == 0 || e == EOWNERDEAD)
			pthread_mutex_unlock(alive);
		else
			found = true;
	}
	return found;
}

/* ---- the segment */

static int lock_file(int fd)
{
	/* bounded: whoever holds it could have been stopped */
	for (int i = 0; i < 2000; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		usleep(1000);
	}
	return -ETIMEDOUT;
}

/* The opened and locked file that bears the name now; -errno. */
static int open_segment(const char *name)
{
	for (int i = 0; i < 100; i++) {
		REIN_AUTO_CLOSE int fd = shm_open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		int e = lock_file(fd);
		if (e)
			return e;
		struct stat st;
		if (fstat(fd, &st) != 0)
			return -errno;
		if (st.st_nlink) /* else its last user removed it while we waited */
			return rein_take_fd(&fd);
	}
	return -EAGAIN;
}

static size_t segment_size(const struct sg_model *m)
{
	return sizeof(struct segment) + m->mps * m->n_devices * sizeof(struct mps_table);
}

static int fill_segment(struct segment *seg, const struct sg_model *m)
{
	struct sg_ledger l;
	pthread_mutexattr_t attr;
	sg_ledger_init(&l, m);
	int e = pthread_mutexattr_init(&attr);
	if (!e)
		e = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (!e)
		e = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	for (uint32_t i = 0; !e && i < SG_SEATS; i++)
		e = pthread_mutex_init(&seg->place[i].alive, &attr);
	pthread_mutexattr_destroy(&attr);
	if (e)
		return -e;
	for (uint32_t d = 0; d < SG_DEVICES_MAX; d++)
		while (!publish(&seg->table[d], 0, rein_load_relaxed(&seg->table[d].head), &l))
			;
	seg->mps = m->mps;
	seg->sms = m->device_sms;
	seg->timeslice_ns = m->timeslice_ns;
	seg->switch_ns = m->switch_ns;
	seg->copy_engines = m->copy_engines;
	seg->n_devices = m->n_devices;
	seg->size = segment_size(m);
	seg->magic = MAGIC;
	return 0;
}

static int map_size(struct sg_share *s, int fd, size_t size)
{
	if (s->seg)
		munmap(s->seg, s->size);
	s->seg = NULL;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED || !at)
		return -ENOMEM;
	s->seg = at;
	s->size = size;
	return 0;
}

/* A whole segment of this version in which nobody sits. The caller has locked it. */
static bool deserted(int fd)
{
	struct stat st;
	struct sg_share s = {.seat = SG_SEATS};
	if (fstat(fd, &st) != 0 || (size_t)st.st_size < sizeof(struct segment))
		return false;
	if (map_size(&s, fd, sizeof(struct segment)) != 0)
		return false;
	bool yes =
	    s.seg->magic == MAGIC && s.seg->size == (uint64_t)st.st_size && !anybody_else(&s);
	munmap(s.seg, s.size);
	return yes;
}

/* Removes what killed processes of this user left under names that nobody may ever use again. */
static void clear_deserted(void)
{
	char prefix[32];
	int len = snprintf(prefix, sizeof(prefix), "softgpu-%u-", (unsigned)getuid());
	DIR *dir = opendir("/dev/shm");
	for (struct dirent *d; dir && (d = readdir(dir));) {
		if (strncmp(d->d_name, prefix, (size_t)len) != 0)
			continue;
		REIN_AUTO_CLOSE int fd = shm_open(d->d_name, O_RDWR | O_CLOEXEC, 0);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
			continue;
		struct stat st; /* whoever waits for the lock sees that the name is gone */
		if (fstat(fd, &st) == 0 && st.st_nlink && deserted(fd))
			shm_unlink(d->d_name);
		flock(fd, LOCK_UN);
	}
	if (dir)
		closedir(dir);
}

/* All zero, and what these figures need of it filled. */
static int make_segment(struct sg_share *s, int fd, const struct sg_model *m)
{
	size_t size = segment_size(m);
	if (ftruncate(fd, 0) != 0 || ftruncate(fd, (off_t)size) != 0)
		return -errno;
	int e = map_size(s, fd, size);
	return e ? e : fill_segment(s->seg, m);
}

static bool same_figures(const struct segment *seg, const struct sg_model *m)
{
	return seg->timeslice_ns == m->timeslice_ns && seg->switch_ns == m->switch_ns &&
	       seg->copy_engines == m->copy_engines && seg->n_devices == m->n_devices &&
	       seg->mps == m->mps && (!m->mps || seg->sms == m->device_sms);
}

static int map_segment(struct sg_share *s, int fd, const struct sg_model *m)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return -errno;
	if ((size_t)st.st_size < sizeof(struct segment))
		return make_segment(s, fd, m);
	int e = map_size(s, fd, sizeof(struct segment));
	if (e)
		return e;
	if (s->seg->magic == 0) /* its maker died in the middle of it */
		return make_segment(s, fd, m);
	if (s->seg->magic != MAGIC || s->seg->size != (uint64_t)st.st_size)
		return -EPROTO;
	if (same_figures(s->seg, m))
		return map_size(s, fd, segment_size(m));
	/* leftovers of dead processes: start over */
	return anybody_else(s) ? -EEXIST : make_segment(s, fd, m);
}

static int refuse(struct sg_share *s, int error, char *why, size_t len)
{
	if (error == -EPROTO)
		snprintf(why, len,
		         "/dev/shm%s was made by another version of the software GPU: end the "
		         "programs that use it, then remove it",
		         s->name);
	else if (error == -EEXIST)
		snprintf(
		    why, len,
		    "device /dev/shm%s is in use with other figures of SOFTGPU_TIMESLICE, _SWITCH, "
		    "_COPY_ENGINES, _DEVICES or _MPS (with it also _SMS): use the same, or another "
		    "SOFTGPU_SHM",
		    s->name);
	else if (error == -EUSERS)
		snprintf(why, len, "more than %d processes on device /dev/shm%s", SG_SEATS,
		         s->name);
	else
		snprintf(why, len, "cannot share the device by /dev/shm%s: %s", s->name,
		         strerror(-error));
	if (s->seg)
		munmap(s->seg, s->size);
	free(s->mps);
	free(s);
	return error;
}

int sg_share_open(const struct sg_model *m, struct sg_share **out, char *why, size_t why_len)
{
	struct sg_share *s = calloc(1, sizeof(*s));
	if (s && m->mps && !(s->mps = calloc(1, sizeof(*s->mps)))) {
		free(s);
		s = NULL;
	}
	if (!s) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	s->seat = SG_SEATS;
	s->n_devices = m->n_devices;
	s->model = m;
	snprintf(s->name, sizeof(s->name), "/softgpu-%u-%s", (unsigned)getuid(), m->shm_name);
	REIN_AUTO_CLOSE int fd = open_segment(s->name);
	if (fd < 0)
		return refuse(s, fd, why, why_len);
	struct stat st;
	bool first = fstat(fd, &st) == 0 && !st.st_size;
	int e = map_segment(s, fd, m);
	if (!e)
		e = take_seat(s);
	flock(fd, LOCK_UN); /* closing is not enough: the mapping keeps the open file */
	if (first)
		clear_deserted();
	if (e)
		return refuse(s, e, why, why_len);
	*out = s;
	return 0;
}

void sg_share_close(struct sg_share *s)
{
	int fd = open_segment(s->name);
	vacate(s, s->seat);
	if (fd >= 0 && !anybody_else(s))
		shm_unlink(s->name);
	pthread_mutex_unlock(&s->seg->place[s->seat].alive);
	munmap(s->seg, s->size);
	free(s->mps);
	if (fd >= 0)
		close(fd);
	free(s);
}
