// SPDX-License-Identifier: Apache-2.0
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "../common/futex.h"
#include "../common/wire.h"
#include "agent.h"
#include "demand.h"
#include "helper.h"
#include "ours.h"
#include "point.h"
#include "probe.h"
#include "slice.h"
#include "rmgate.h"
#include "stream.h"
#include "trace.h"

_Alignas(REIN_AREA_ALIGN) union rein_board_area rein_board_area;
_Alignas(REIN_AREA_ALIGN) union rein_control_area rein_control_area;
_Alignas(REIN_AREA_ALIGN) union rein_status_area rein_status_area;
_Alignas(REIN_AREA_ALIGN) union rein_rings_area rein_rings_area;

static rein_a32 attached;
static rein_a64 submissions_before;
static rein_a32 bell; /* its descriptor + 1; the number stays ours for good */
static rein_a64 bell_ino;
static rein_a64 bell_dev;                /* of all sockets; written before `bell` */
static const struct rein_control *alias; /* a second mapping of control: to wake who waits there */
static struct rein_kmodel saved_model;

static struct {
	rein_a32 ready; /* 1: uuid and ordinal are written */
	uint32_t ordinal;
	uint64_t uuid[2];
} devices[REIN_DEVICES_MAX];
static rein_a32 devices_count;

/* ---------------------------------------------------------------- the doorbell */

static struct rein_ours bell_file(void)
{
	struct rein_ours file = {.fd = (int)rein_load_acquire(&bell) - 1};
	file.dev = (dev_t)rein_load_relaxed(&bell_dev);
	file.ino = (ino_t)rein_load_acquire(&bell_ino);
	return file;
}

/*
 * The doorbell keeps its number over all daemons: a thread that has just read the number must not
 * write to what the number has become. It is a socket, because each socket has an inode of its
 * own to be known by; all eventfds and epoll sets of a machine share one. A thread that compares
 * with the old inode for a moment does not ring: the joining warden publishes and rings after this.
 */
int rein_attach_bell(int fd)
{
	struct rein_ours old = bell_file(), file = rein_ours_of(fd);
	if (old.fd >= 0 && rein_ours_still(&old)) {
		if (dup3(fd, old.fd, O_CLOEXEC) < 0)
			return -errno;
		rein_store_release(&bell_ino, file.ino);
		return 0;
	}
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, REIN_OURS_FROM);
	if (kept < 0)
		return -errno;
	rein_store_relaxed(&bell_dev, file.dev);
	rein_store_release(&bell_ino, file.ino);
	rein_store_release(&bell, (uint32_t)kept + 1);
	return 0;
}

bool rein_attach_rings(void)
{
	struct rein_ours file = bell_file();
	return rein_ours_still(&file);
}

/* By the bare system call: send() would be a point where a thread can be cancelled, in the middle
 * of a launch. */
void rein_attach_ring(void)
{
	char one = 1;
	struct rein_ours file = bell_file();
	if (!rein_ours_still(&file))
		return;
	(void)syscall(SYS_sendto, file.fd, &one, sizeof(one), MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
}

int rein_attach_bell_fd(void)
{
	struct rein_ours file = bell_file();
	return rein_ours_still(&file) ? file.fd : -1;
}

/* ---------------------------------------------------------------- mapping */

static size_t area_len(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return (size + page - 1) / page * page;
}

/* An object of the right kind that cannot shrink under us, mapped anywhere. NULL: it is not. */
static void *map_checked(int fd, size_t size, int prot)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	if (fstat(fd, &st) != 0 || seals < 0 || !(seals & F_SEAL_SHRINK) ||
	    st.st_size < (off_t)size)
		return NULL;
	void *at = mmap(NULL, area_len(size), prot, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return NULL;
	const struct rein_abi_header *header = at;
	if (header->magic == REIN_ABI_MAGIC && header->major == REIN_ABI_MAJOR &&
	    header->size >= size)
		return at;
	munmap(at, area_len(size));
	return NULL;
}

static void drop(const void *at, size_t size)
{
	if (at)
		munmap((void *)(uintptr_t)at, area_len(size));
}

/* By the bare system call: a sanitizer takes mmap() for a write by this thread to all of it. */
static bool put(void *area, size_t size, int prot, int flags, int fd)
{
	long at = syscall(SYS_mmap, area, area_len(size), prot, MAP_FIXED | flags, fd, 0L);
	return at == (long)(intptr_t)area;
}

static bool put_zeros(void *area, size_t size)
{
	return put(area, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static bool put_object(void *area, size_t size, int prot, int fd)
{
	return put(area, size, prot, MAP_SHARED, fd);
}

/* Word by word, for other threads may be at it. */
static void copy_model(struct rein_kmodel *to, struct rein_kmodel *from)
{
	rein_a64 *t = (rein_a64 *)(void *)to, *f = (rein_a64 *)(void *)from;
	for (size_t i = 0; i < sizeof(*to) / sizeof(*t); i++)
		rein_store_relaxed(&t[i], rein_load_relaxed(&f[i]));
}

static void publish_devices(void)
{
	for (unsigned i = 0; i < REIN_DEVICES_MAX; i++) {
		struct rein_status_device *slot = &REIN_STATUS->device[i];
		rein_a64 *uuid = (rein_a64 *)(void *)slot->uuid;
		if (!rein_load_acquire(&devices[i].ready) || rein_load_relaxed(&slot->used))
			continue;
		__atomic_store_n(&slot->ordinal, devices[i].ordinal, __ATOMIC_RELAXED);
		rein_store_relaxed(&uuid[0], devices[i].uuid[0]);
		rein_store_relaxed(&uuid[1], devices[i].uuid[1]);
		rein_store_release(&slot->used, 1);
	}
}

/* A program without records is better than none with rings: what is no ring is left out. */
static void map_rings(int fd)
{
	struct rein_ring_area *rings = map_checked(fd, sizeof(*rings), PROT_READ | PROT_WRITE);
	if (!rings)
		return;
	bool ticks = rings->head.offers & REIN_RING_OFFERS_TICKS && rein_ticks_allowed();
	rein_store_relaxed(&rein_trace_clock, ticks ? REIN_TRACE_TICKS : 0);
	rein_store_relaxed(&rings->doing, (uint64_t)rein_doing_offset());
	(void)put_object(REIN_RINGS, sizeof(*rings), PROT_READ | PROT_WRITE, fd);
	drop(rings, sizeof(*rings));
}

/* Rings and status before control: whoever finds the new gate closed must find the daemon's ear
 * too. */
int rein_attach_map(const int *fds, unsigned n_fds)
{
	struct rein_board *board = map_checked(fds[REIN_FD_BOARD], sizeof(*board), PROT_READ);
	struct rein_control *control =
	    map_checked(fds[REIN_FD_CONTROL], sizeof(*control), PROT_READ);
	struct rein_status *status =
	    map_checked(fds[REIN_FD_STATUS], sizeof(*status), PROT_READ | PROT_WRITE);
	int err = board && control && status ? rein_attach_bell(fds[REIN_FD_DOORBELL]) : -EPROTO;
	if (!err) {
		copy_model(&status->kmodel, &REIN_STATUS->kmodel);
		rein_store_relaxed(&submissions_before, rein_rows_returned());
		if (n_fds > REIN_FD_RINGS)
			map_rings(fds[REIN_FD_RINGS]);
		if (!put_object(REIN_STATUS, sizeof(*status), PROT_READ | PROT_WRITE,
		                fds[REIN_FD_STATUS]) ||
		    !put_object(REIN_BOARD, sizeof(*board), PROT_READ, fds[REIN_FD_BOARD]) ||
		    !put_object(REIN_CONTROL, sizeof(*control), PROT_READ, fds[REIN_FD_CONTROL])) {
			err = -errno;
			rein_attach_unmap();
		}
	}
	drop(board, sizeof(*board));
	drop(status, sizeof(*status));
	if (err) {
		drop(control, sizeof(*control));
		return err;
	}
	alias = control;
	(void)rein_swap_seqcst(&attached, 1); /* before rein_helper_wake() looks */
	if (n_fds > REIN_FD_POINTS)
		rein_point_join(fds[REIN_FD_POINTS]);
	rein_point_publish();
	rein_slice_publish();
	rein_agent_publish();
	rein_rmgate_joined();
	publish_devices();
	rein_demand_publish();
	rein_attach_ring();
	rein_helper_wake();
	return 0;
}

/*
 * Zero pages first, then the wake-up, through the alias: a thread that waits on the old page is
 * woken there, and one about to wait compares with the new page's zero and does not.
 */
void rein_attach_unmap(void)
{
	rein_store_release(&attached, 0);
	rein_point_leave();
	(void)put_zeros(REIN_CONTROL, sizeof(struct rein_control));
	if (alias)
		rein_futex_wake_all(&alias->verdict[0].gate);
	copy_model(&saved_model, &REIN_STATUS->kmodel);
	(void)put_zeros(REIN_STATUS, sizeof(struct rein_status));
	copy_model(&REIN_STATUS->kmodel, &saved_model);
	(void)put_zeros(REIN_BOARD, sizeof(struct rein_board));
	(void)put_zeros(REIN_RINGS, sizeof(struct rein_ring_area));
	drop(alias, sizeof(*alias));
	alias = NULL;
	rein_agent_wake();
}

bool rein_attach_on(void)
{
	return rein_load_seqcst(&attached);
}

uint64_t rein_attach_submissions_before(void)
{
	return rein_load_relaxed(&submissions_before);
}

int rein_attach_device(CUdevice device)
{
	static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER;
	CUuuid uuid;
	uint64_t words[2];
	rein_rmgate_device(device);
	CUresult r = real.cuDeviceGetUuid_v2(&uuid, device);
	if (r != CUDA_SUCCESS)
		r = real.cuDeviceGetUuid(&uuid, device);
	if (r != CUDA_SUCCESS)
		return -1;
	memcpy(words, uuid.bytes, sizeof(words));
	pthread_mutex_lock(&adding);
	unsigned n = rein_load_relaxed(&devices_count), i = 0;
	while (i < n && memcmp(devices[i].uuid, words, sizeof(words)) != 0)
		i++;
	if (i == n && n < REIN_DEVICES_MAX) {
		devices[n].ordinal = (uint32_t)device;
		memcpy(devices[n].uuid, words, sizeof(words));
		rein_store_release(&devices[n].ready, 1);
		rein_store_relaxed(&devices_count, n + 1);
	}
	pthread_mutex_unlock(&adding);
	if (i == n) {
		publish_devices();
		rein_attach_ring();
	}
	return i < REIN_DEVICES_MAX ? (int)i : -1;
}

/* In a forked child, which is alone. */
void rein_attach_let_go(void)
{
	rein_store_release(&attached, 0);
	rein_point_let_go();
	(void)put_zeros(REIN_CONTROL, sizeof(struct rein_control));
	(void)put_zeros(REIN_STATUS, sizeof(struct rein_status));
	(void)put_zeros(REIN_BOARD, sizeof(struct rein_board));
	(void)put_zeros(REIN_RINGS, sizeof(struct rein_ring_area));
	drop(alias, sizeof(*alias));
	alias = NULL;
	struct rein_ours file = bell_file();
	rein_store_release(&bell, 0);
	rein_ours_close(&file);
}
