// SPDX-License-Identifier: Apache-2.0
/* ipc.c: see ipc.h. */
#include "ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/clock.h"
#include "../common/futex.h"

#define MAGIC 0x49504353u /* changes with the layout */
#define FD_MIN 200        /* out of the way of programs that count descriptors */
#define LOOK_NS REIN_MS   /* between looks whether a recorder lives */

struct block {
	rein_a64 id; /* 0: free */
	uint64_t offset, size;
	uint32_t device, pad;
};

struct segment {
	uint64_t key;
	int32_t memory_fd[SG_DEVICES_MAX];
	struct block block[SG_IPC_BLOCKS];
	struct sg_ipc_event event[SG_IPC_EVENTS];
};

static struct { /* this process' own */
	pthread_mutex_t lock;
	struct segment *seg;
	int fd;
	uint64_t born;
	uint64_t uuid[SG_DEVICES_MAX];
	uint32_t block_hint, event_hint;
} own = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

struct sg_ipc_list { /* another process', in a list of those that are open */
	struct sg_ipc_list *next;
	struct segment *seg;
	uint64_t key;
	unsigned refs;
};
static struct sg_ipc_list *lists; /* under own.lock */

uint64_t sg_ipc_random(void)
{
	uint64_t v = 0;
	while (!v && getrandom(&v, sizeof(v), 0) != sizeof(v))
		v = rein_now_ns() * 0x9e3779b97f4a7c15ull; /* a very old kernel */
	return v ? v : 1;
}

/* ---- records, as they are kept: number << 8 | recorder << 1 | COMPLETE */

#define COMPLETE 1u

static rein_a64 *slot(struct sg_ipc_event *e, uint64_t number)
{
	return &e->record[number % SG_IPC_RECORDS];
}

/* ---- processes */

/* When it started, in clock ticks; 0: there is no such process any more, or it is a zombie. */
static uint64_t born(uint32_t pid)
{
	char path[40], text[512];
	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	REIN_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = 0;
	const char *at = strrchr(text, ')'); /* a name may hold anything */
	char state = 0;
	unsigned long long start = 0;
	/* field 3 is the state, field 22 the start */
	if (!at || sscanf(at + 1,
	                  " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
	                  "%*s %*s %llu",
	                  &state, &start) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : start + 1;
}

static uint64_t identity(uint32_t pid, uint64_t start)
{
	return (uint64_t)pid << 32 | (start & 0xffffffff);
}

static bool lives(uint64_t who)
{
	uint64_t start = born((uint32_t)(who >> 32));
	return start && identity((uint32_t)(who >> 32), start) == who;
}

/* After a fork the child is another one. */
static uint64_t myself(void)
{
	static rein_a64 cached;
	uint64_t who = rein_load_relaxed(&cached);
	uint32_t pid = (uint32_t)getpid();
	if (who >> 32 != pid) {
		who = identity(pid, born(pid));
		rein_store_relaxed(&cached, who);
	}
	return who;
}

/* ---- this process' list */

static int make_segment(void)
{
	if (own.seg)
		return 0;
	REIN_AUTO_CLOSE int fd = memfd_create("softgpu-ipc-0", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(struct segment)) != 0)
		return -errno;
	void *at = mmap(NULL, sizeof(struct segment), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_MIN);
	own.fd = high >= 0 ? high : rein_take_fd(&fd);
	own.seg = at;
	own.seg->key = sg_ipc_random();
	own.born = born((uint32_t)getpid());
	for (int i = 0; i < SG_DEVICES_MAX; i++)
		own.seg->memory_fd[i] = -1;
	return 0;
}

int sg_ipc_offer_block(unsigned device, uint64_t uuid, int memory_fd, uint64_t offset,
                       uint64_t size, uint32_t *index)
{
	pthread_mutex_lock(&own.lock);
	int e = make_segment();
	for (uint32_t i = 0; !e && i < SG_IPC_BLOCKS; i++) {
		uint32_t at = (own.block_hint + i) % SG_IPC_BLOCKS;
		struct block *b = &own.seg->block[at];
		if (rein_load_relaxed(&b->id))
			continue;
		own.block_hint = at + 1;
		own.uuid[device] = uuid;
		own.seg->memory_fd[device] = memory_fd;
		b->device = device;
		b->offset = offset;
		b->size = size;
		rein_store_release(&b->id, sg_ipc_random());
		*index = at;
		pthread_mutex_unlock(&own.lock);
		return 0;
	}
	pthread_mutex_unlock(&own.lock);
	return e ? e : -ENOSPC;
}

/* What is left of the event that was here before counts as complete. */
static void start_afresh(struct sg_ipc_event *e)
{
	uint64_t last = rein_load_acquire(&e->recorded), first = rein_load_relaxed(&e->first);
	if (last - first > SG_IPC_RECORDS)
		first = last - SG_IPC_RECORDS;
	for (uint64_t n = first + 1; n <= last; n++)
		rein_store_relaxed(slot(e, n), n << 8 | COMPLETE);
	rein_store_relaxed(&e->first, last);
	for (int i = 0; i < SG_IPC_RECORDERS; i++)
		rein_store_relaxed(&e->recorder[i], 0);
}

int sg_ipc_offer_event(unsigned device, uint64_t uuid, uint32_t *index, struct sg_ipc_event **event)
{
	pthread_mutex_lock(&own.lock);
	int e = make_segment();
	for (uint32_t i = 0; !e && i < SG_IPC_EVENTS; i++) {
		uint32_t at = (own.event_hint + i) % SG_IPC_EVENTS;
		struct sg_ipc_event *ev = &own.seg->event[at];
		if (rein_load_relaxed(&ev->id))
			continue;
		own.event_hint = at + 1;
		own.uuid[device] = uuid;
		ev->device = device;
		start_afresh(ev);
		rein_store_release(&ev->id, sg_ipc_random());
		*index = at;
		*event = ev;
		pthread_mutex_unlock(&own.lock);
		return 0;
	}
	pthread_mutex_unlock(&own.lock);
	return e ? e : -ENOSPC;
}

void sg_ipc_handle(enum sg_ipc_kind kind, uint32_t index, struct sg_ipc_handle *out)
{
	pthread_mutex_lock(&own.lock);
	bool block = kind == SG_IPC_BLOCK;
	uint32_t device = block ? own.seg->block[index].device : own.seg->event[index].device;
	*out = (struct sg_ipc_handle){
	    .magic = MAGIC,
	    .kind = kind,
	    .pid = (uint32_t)getpid(),
	    .fd = own.fd,
	    .born = own.born,
	    .key = own.seg->key,
	    .id = rein_load_relaxed(block ? &own.seg->block[index].id : &own.seg->event[index].id),
	    .uuid = own.uuid[device],
	    .index = index,
	    .device = device,
	};
	pthread_mutex_unlock(&own.lock);
}

void sg_ipc_withdraw(enum sg_ipc_kind kind, uint32_t index)
{
	struct segment *seg = own.seg; /* there, since something was offered */
	if (kind == SG_IPC_BLOCK) {
		rein_store_release(&seg->block[index].id, 0);
		return;
	}
	rein_store_release(&seg->event[index].id, 0);
	rein_add_release(&seg->event[index].bell, 1);
	rein_futex_wake_all(&seg->event[index].bell);
}

/* ---- others' lists */

bool sg_ipc_is_memory(int fd, const char *what, unsigned *number)
{
	char link[40], name[80], want[40];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, name, sizeof(name) - 1);
	if (n <= 0)
		return false;
	name[n] = 0;
	int len = snprintf(want, sizeof(want), "/memfd:softgpu-%s-", what);
	return strncmp(name, want, (size_t)len) == 0 && sscanf(name + len, "%u", number) == 1;
}

/* A descriptor of another process, if it is a memfd of ours: no other file is opened. */
static int open_theirs(uint32_t pid, int fd, const char *what)
{
	char path[40], name[80], want[40];
	snprintf(path, sizeof(path), "/proc/%u/fd/%d", pid, fd);
	ssize_t n = readlink(path, name, sizeof(name) - 1);
	if (n <= 0)
		return n < 0 && errno == EACCES ? -EACCES : -ESRCH;
	name[n] = 0;
	int len = snprintf(want, sizeof(want), "/memfd:softgpu-%s-", what);
	if (strncmp(name, want, (size_t)len) != 0)
		return -ESRCH;
	int opened = open(path, O_RDWR | O_CLOEXEC);
	return opened >= 0 ? opened : errno == EACCES ? -EACCES : -ESRCH;
}

static int check_handle(const struct sg_ipc_handle *h, enum sg_ipc_kind kind)
{
	uint32_t limit = kind == SG_IPC_BLOCK ? SG_IPC_BLOCKS : SG_IPC_EVENTS;
	if (h->magic != MAGIC || h->kind != (uint32_t)kind || !h->id || h->index >= limit ||
	    h->device >= SG_DEVICES_MAX || h->fd < 0 || !h->pid || h->pid > INT32_MAX)
		return -EINVAL;
	if (h->pid == (uint32_t)getpid() && own.seg && h->key == own.seg->key)
		return SG_IPC_OWN;
	return born(h->pid) == h->born ? 0 : -ESRCH;
}

static int map_theirs(const struct sg_ipc_handle *h, struct segment **seg)
{
	struct stat st;
	REIN_AUTO_CLOSE int fd = open_theirs(h->pid, h->fd, "ipc");
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) != 0 || (size_t)st.st_size != sizeof(struct segment))
		return -EINVAL;
	void *at = mmap(NULL, sizeof(struct segment), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	*seg = at;
	if (*seg && (*seg)->key == h->key)
		return 0;
	munmap(at, sizeof(struct segment));
	return -EINVAL;
}

int sg_ipc_open_block(const struct sg_ipc_handle *h, struct sg_ipc_block *out)
{
	struct segment *seg = NULL;
	int e = check_handle(h, SG_IPC_BLOCK);
	if (!e)
		e = map_theirs(h, &seg);
	if (e || !seg)
		return e ? e : -EINVAL;
	const struct block *b = &seg->block[h->index];
	bool there = rein_load_acquire(&b->id) == h->id;
	*out = (struct sg_ipc_block){.offset = b->offset, .size = b->size};
	out->fd = there ? open_theirs(h->pid, seg->memory_fd[h->device], "memory") : -ESRCH;
	if (out->fd >= 0 && rein_load_acquire(&b->id) != h->id) { /* freed meanwhile */
		close(out->fd);
		out->fd = -ESRCH;
	}
	munmap(seg, sizeof(*seg));
	struct stat st;
	if (out->fd >= 0 && (fstat(out->fd, &st) != 0 || (uint64_t)st.st_size < out->size ||
	                     (uint64_t)st.st_size - out->size < out->offset)) {
		close(out->fd);
		out->fd = -EINVAL;
	}
	return out->fd < 0 ? out->fd : 0;
}

int sg_ipc_open_event(const struct sg_ipc_handle *h, struct sg_ipc_list **list,
                      struct sg_ipc_event **event)
{
	int e = check_handle(h, SG_IPC_EVENT);
	if (e)
		return e;
	pthread_mutex_lock(&own.lock);
	struct sg_ipc_list *l = lists;
	while (l && l->key != h->key)
		l = l->next;
	if (!l) {
		l = calloc(1, sizeof(*l));
		e = l ? map_theirs(h, &l->seg) : -ENOMEM;
		if (e) {
			free(l);
			pthread_mutex_unlock(&own.lock);
			return e;
		}
		l->key = h->key;
		l->next = lists;
		lists = l;
	}
	l->refs++;
	pthread_mutex_unlock(&own.lock);
	*list = l;
	*event = &l->seg->event[h->index];
	if (rein_load_acquire(&(*event)->id) == h->id)
		return 0;
	sg_ipc_close_event(l);
	return -ESRCH;
}

void sg_ipc_close_event(struct sg_ipc_list *l)
{
	pthread_mutex_lock(&own.lock);
	struct sg_ipc_list **at = &lists;
	if (--l->refs) {
		pthread_mutex_unlock(&own.lock);
		return;
	}
	while (*at && *at != l)
		at = &(*at)->next;
	if (*at)
		*at = l->next;
	pthread_mutex_unlock(&own.lock);
	munmap(l->seg, sizeof(*l->seg));
	free(l);
}

/* ---- records */

static uint64_t pack(uint64_t number, uint32_t recorder)
{
	return number << 8 | recorder << 1;
}

static uint64_t number_of(uint64_t record)
{
	return record >> 8;
}

/* Completes what a dead recorder left, so that its place can be used again. */
static void bury(struct sg_ipc_event *e, uint32_t recorder)
{
	for (int i = 0; i < SG_IPC_RECORDS; i++) {
		uint64_t r = rein_load_acquire(&e->record[i]);
		if ((r >> 1 & 0x7f) == recorder && !(r & COMPLETE))
			rein_cas(&e->record[i], &r, r | COMPLETE);
	}
}

/* This process' place among the event's recorders; SG_IPC_RECORDERS: there is none. */
static uint32_t enrol(struct sg_ipc_event *e)
{
	uint64_t me = myself();
	for (uint32_t i = 0; i < SG_IPC_RECORDERS; i++)
		if (rein_load_acquire(&e->recorder[i]) == me)
			return i;
	for (uint32_t i = 0; i < SG_IPC_RECORDERS; i++) {
		uint64_t who = rein_load_acquire(&e->recorder[i]);
		if (who && lives(who))
			continue;
		if (who)
			bury(e, i);
		if (rein_cas(&e->recorder[i], &who, me) || who == me)
			return i;
	}
	return SG_IPC_RECORDERS;
}

/* The record is there before its number counts; whoever finds it so moves the number on, so that
 * a process which dies between the two leaves nothing half-made. */
uint64_t sg_ipc_record(struct sg_ipc_event *e, uint64_t id)
{
	uint32_t me = enrol(e);
	if (me == SG_IPC_RECORDERS)
		return SG_IPC_GONE;
	while (rein_load_acquire(&e->id) == id) {
		uint64_t last = rein_load_acquire(&e->recorded), number = last + 1;
		uint64_t was = rein_load_acquire(slot(e, number));
		if (was && number_of(was) < number && !(was & COMPLETE)) {
			struct sg_ipc_wait old = {.event = e, .id = id, .number = number_of(was)};
			if (!sg_ipc_wait_done(&old)) /* its process lives */
				return SG_IPC_FULL;
			continue;
		}
		bool mine =
		    number_of(was) < number && rein_cas(slot(e, number), &was, pack(number, me));
		if (mine || number_of(was) == number)
			rein_cas(&e->recorded, &last, number);
		if (mine)
			return number;
	}
	return SG_IPC_GONE;
}

void sg_ipc_record_complete(struct sg_ipc_event *e, uint64_t id, uint64_t number)
{
	uint64_t r = rein_load_acquire(slot(e, number));
	if (rein_load_acquire(&e->id) != id || number_of(r) != number || (r & COMPLETE))
		return;
	rein_cas(slot(e, number), &r, r | COMPLETE);
	rein_add_release(&e->bell, 1);
	rein_futex_wake_all(&e->bell);
}

struct sg_ipc_wait sg_ipc_wait_latest(struct sg_ipc_event *e, uint64_t id)
{
	uint64_t number = rein_load_acquire(&e->recorded);
	if (number == rein_load_relaxed(&e->first))
		number = 0;
	return (struct sg_ipc_wait){.event = e, .id = id, .number = number};
}

bool sg_ipc_wait_done(struct sg_ipc_wait *w)
{
	struct sg_ipc_event *e = w->event;
	if (!w->number || rein_load_acquire(&e->id) != w->id)
		return true; /* never recorded; destroyed */
	uint64_t r = rein_load_acquire(slot(e, w->number));
	if ((r & COMPLETE) || number_of(r) != w->number)
		return true; /* a later record is in its place only when it was complete */
	uint64_t who = rein_load_acquire(&e->recorder[(r >> 1 & 0x7f) % SG_IPC_RECORDERS]);
	uint64_t now = rein_now_ns();
	if (who == myself() || now - w->looked_ns < LOOK_NS)
		return false;
	w->looked_ns = now;
	if (lives(who))
		return false;
	rein_cas(slot(e, w->number), &r, r | COMPLETE);
	return true;
}
