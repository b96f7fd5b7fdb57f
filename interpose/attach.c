// SPDX-License-Identifier: Apache-2.0
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "../common/futex.h"
#include "../common/log.h"
#include "../common/sock.h"
#include "../common/wire.h"
#include "demand.h"
#include "helper.h"
#include "stream.h"

#define FIRST_WAIT_NS (50 * REIN_MS) /* cuInit waits this long for the first attempt */
#define WELCOME_MS 1000
#define RETRY_MS 500
#define REFUSED_RETRY_MS 2000
#define WARDEN_STACK (256 * 1024)

_Alignas(REIN_AREA_ALIGN) union rein_board_area rein_board_area;
_Alignas(REIN_AREA_ALIGN) union rein_control_area rein_control_area;
_Alignas(REIN_AREA_ALIGN) union rein_status_area rein_status_area;

/* Which file a descriptor is. The application may close what it does not know and get the number
 * again for a file of its own: nothing is written, duplicated or closed without a look. */
struct identity {
	int fd; /* -1: none */
	dev_t dev;
	ino_t ino;
};

static rein_a32 started, attached, first_over;
static rein_a64 submissions_before;
static struct identity sock = {.fd = -1};
static rein_a32 bell;             /* its descriptor + 1; the number stays ours for good */
static struct identity bell_file = {.fd = -1};
static const struct rein_control *alias; /* a second mapping of control: to wake who waits there */
static struct rein_kmodel saved_model;
static struct rein_msg_hello hello;
static char run_dir[sizeof(((struct sockaddr_un *)0)->sun_path)];

static struct {
	rein_a32 ready; /* 1: uuid and ordinal are written */
	uint32_t ordinal;
	uint64_t uuid[2];
} devices[REIN_DEVICES_MAX];
static rein_a32 devices_count;

/* ---------------------------------------------------------------- descriptors */

static struct identity identify(int fd)
{
	struct stat st;
	struct identity id = {.fd = -1};
	if (fd >= 0 && fstat(fd, &st) == 0)
		id = (struct identity){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
	return id;
}

static bool still(const struct identity *id)
{
	struct identity now = identify(id->fd);
	return now.fd >= 0 && now.dev == id->dev && now.ino == id->ino;
}

static void close_ours(struct identity *id)
{
	if (id->fd >= 0 && still(id))
		close(id->fd);
	id->fd = -1;
}

/* The doorbell keeps its number over all daemons: a thread that has just read the number must not
 * write to what the number has become. */
int rein_attach_bell(int fd)
{
	if (bell_file.fd >= 0 && still(&bell_file))
		return dup3(fd, bell_file.fd, O_CLOEXEC) < 0 ? -errno : 0;
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (kept < 0)
		return -errno;
	bell_file = identify(kept);
	rein_store_release(&bell, (uint32_t)kept + 1);
	return 0;
}

void rein_attach_ring(void)
{
	uint64_t one = 1;
	int fd = (int)rein_load_acquire(&bell) - 1;
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0 || st.st_ino != bell_file.ino ||
	    st.st_dev != bell_file.dev)
		return;
	ssize_t ignored = write(fd, &one, sizeof(one));
	(void)ignored;
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

/* Status before control: whoever finds the new gate closed must find the daemon's ear too. */
int rein_attach_map(const int *fds)
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
	(void)put_zeros(REIN_CONTROL, sizeof(struct rein_control));
	if (alias)
		rein_futex_wake_all(&alias->verdict[0].gate);
	copy_model(&saved_model, &REIN_STATUS->kmodel);
	(void)put_zeros(REIN_STATUS, sizeof(struct rein_status));
	copy_model(&REIN_STATUS->kmodel, &saved_model);
	(void)put_zeros(REIN_BOARD, sizeof(struct rein_board));
	drop(alias, sizeof(*alias));
	alias = NULL;
}

bool rein_attach_on(void)
{
	return rein_load_seqcst(&attached);
}

uint64_t rein_attach_submissions_before(void)
{
	return rein_load_relaxed(&submissions_before);
}

void rein_attach_device(CUdevice device)
{
	static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER;
	CUuuid uuid;
	uint64_t words[2];
	CUresult r = real.cuDeviceGetUuid_v2(&uuid, device);
	if (r != CUDA_SUCCESS)
		r = real.cuDeviceGetUuid(&uuid, device);
	if (r != CUDA_SUCCESS)
		return;
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
}

/* ---------------------------------------------------------------- joining */

/* What a wish from the environment is worth; said once, at the start. */
static void read_wishes(void)
{
	const char *prio = getenv("REIN_PRIO"), *name = getenv("REIN_NAME");
	const char *class_name = getenv("REIN_CLASS");
	hello.header = (struct rein_msg_header){.magic = REIN_ABI_MAGIC,
	                                        .type = REIN_MSG_HELLO,
	                                        .size = sizeof(hello),
	                                        .abi_major = REIN_ABI_MAJOR,
	                                        .abi_minor = REIN_ABI_MINOR};
	hello.prio = REIN_PRIO_UNSET;
	if (prio && *prio) {
		char *end;
		long n = strtol(prio, &end, 10);
		if (*end || n < 0 || n > REIN_PRIO_MAX)
			rein_error("REIN_PRIO=%s ignored: want 0 (best effort) to %d (most urgent)",
			           prio, REIN_PRIO_MAX);
		else
			hello.prio = (int32_t)n;
	}
	if (name)
		strncpy(hello.name, name, sizeof(hello.name) - 1);
	if (class_name)
		strncpy(hello.class_name, class_name, sizeof(hello.class_name) - 1);
}

/* 0; -EPROTO with `why` filled: refused, or not understood; other: no answer. */
static int check_welcome(const struct rein_msg_welcome *w, ssize_t n, unsigned n_fds,
                         const char **why)
{
	static char text[sizeof(w->text) + 1];
	if (n <= 0)
		return n ? (int)n : -ECONNRESET;
	if ((size_t)n < sizeof(w->header) || w->header.magic != REIN_ABI_MAGIC ||
	    w->header.type != REIN_MSG_WELCOME) {
		*why = "what answers there is not reind";
		return -EPROTO;
	}
	if (w->header.abi_major != REIN_ABI_MAJOR) {
		*why = "reind and librein.so are of different versions: install both from one release";
		return -EPROTO;
	}
	if ((size_t)n < sizeof(*w) || (!w->error && n_fds != REIN_FD_N)) {
		*why = "its answer is malformed";
		return -EPROTO;
	}
	if (w->error) {
		memcpy(text, w->text, sizeof(w->text));
		*why = *text ? text : strerrordesc_np(w->error);
		return -EPROTO;
	}
	return 0;
}

static int talk(int fd, const char **why)
{
	struct rein_msg_welcome welcome;
	int fds[REIN_SOCK_FDS];
	unsigned n_fds = REIN_ARRAY_LEN(fds);
	int err = rein_sock_send(fd, &hello, sizeof(hello), NULL, 0);
	if (err)
		return err;
	ssize_t n = rein_sock_recv(fd, &welcome, sizeof(welcome), fds, &n_fds, WELCOME_MS);
	if (n < 0)
		n_fds = 0;
	err = check_welcome(&welcome, n, n_fds, why);
	if (!err && (err = rein_attach_map(fds)) != 0)
		*why = "its shared memory cannot be mapped";
	for (unsigned i = 0; i < n_fds; i++)
		close(fds[i]);
	return err;
}

/* Says what keeps us from joining, each thing once. */
static void report(int err, const char *why)
{
	static int said;
	if (err == said)
		return;
	said = err;
	if (!err)
		rein_debug("joined run_dir=%s", run_dir);
	else if (err == -EPROTO)
		rein_error("reind at %s refused: %s; running unscheduled", run_dir, why);
	else if (err == -EACCES || err == -EPERM)
		rein_error("no permission for %s/%s; running unscheduled", run_dir,
		           REIN_CLIENT_SOCKET);
	else
		rein_debug("no daemon at %s: %s; running unscheduled", run_dir,
		           strerrordesc_np(-err));
}

static int join(void)
{
	const char *why = "";
	int fd = rein_sock_connect(run_dir, REIN_CLIENT_SOCKET);
	int err = fd < 0 ? fd : talk(fd, &why);
	if (err && fd >= 0)
		close(fd);
	if (!err)
		sock = identify(fd);
	report(err, why);
	return err;
}

/* ---------------------------------------------------------------- the warden */

static void wait_for_hang_up(void)
{
	char drop_it[256];
	for (;;) {
		struct pollfd p = {.fd = sock.fd, .events = POLLIN};
		if (poll(&p, 1, -1) < 0)
			continue;
		if (p.revents & (POLLHUP | POLLERR | POLLNVAL) || !still(&sock))
			return;
		ssize_t n = recv(sock.fd, drop_it, sizeof(drop_it), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return;
	}
}

static void nap(int ms)
{
	poll(NULL, 0, ms);
}

/* A refusal stands until another daemon has made the socket anew. */
static void wait_for_another(void)
{
	struct sockaddr_un addr;
	struct stat was, now;
	if (rein_sock_addr(&addr, run_dir, REIN_CLIENT_SOCKET) || stat(addr.sun_path, &was) != 0)
		return;
	do
		nap(REFUSED_RETRY_MS);
	while (stat(addr.sun_path, &now) == 0 && now.st_ino == was.st_ino &&
	       now.st_ctim.tv_sec == was.st_ctim.tv_sec &&
	       now.st_ctim.tv_nsec == was.st_ctim.tv_nsec);
}

static void *warden_main(void *unused)
{
	prctl(PR_SET_NAME, "rein-warden");
	for (;;) {
		int err = join();
		rein_store_release(&first_over, 1);
		rein_futex_wake_all(&first_over);
		if (!err) {
			wait_for_hang_up();
			rein_attach_unmap();
			close_ours(&sock);
			rein_debug("the daemon has gone; running unscheduled");
		} else if (err == -EPROTO) {
			wait_for_another();
		}
		nap(RETRY_MS);
	}
	return NULL;
}

static int start_warden(void)
{
	pthread_t thread;
	pthread_attr_t attr;
	int err = pthread_attr_init(&attr);
	if (err)
		return -err;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, WARDEN_STACK);
	err = pthread_create(&thread, &attr, warden_main, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

/* A forked child has our descriptors and mappings but neither threads nor a usable CUDA: it lets
 * go of all of it and passes every call through. */
static void in_child(void)
{
	rein_or_seqcst(&rein_attention, REIN_ATT_OFF);
	rein_store_release(&attached, 0);
	(void)put_zeros(REIN_CONTROL, sizeof(struct rein_control));
	(void)put_zeros(REIN_STATUS, sizeof(struct rein_status));
	(void)put_zeros(REIN_BOARD, sizeof(struct rein_board));
	drop(alias, sizeof(*alias));
	alias = NULL;
	close_ours(&sock);
	rein_store_release(&bell, 0);
	close_ours(&bell_file);
}

static void at_end(void)
{
	if (!(rein_load_acquire(&rein_attention) & REIN_ATT_OFF))
		rein_helper_stop();
}

static void start_threads(void)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* no signal of theirs on our threads */
	int err = rein_helper_start();
	if (!err)
		err = start_warden();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		rein_error("cannot start a thread: %s; running unscheduled", strerrordesc_np(-err));
	else
		return;
	rein_store_release(&first_over, 1);
}

void rein_attach_start(void)
{
	if (rein_load_acquire(&started) || rein_swap_seqcst(&started, 1))
		return;
	int err = rein_run_dir(run_dir, sizeof(run_dir));
	if (err || (uintptr_t)REIN_CONTROL % (uintptr_t)sysconf(_SC_PAGESIZE)) {
		rein_error("cannot join reind: %s; running unscheduled",
		           err ? "the run directory's name is too long" : "misaligned areas");
		return;
	}
	read_wishes();
	if (pthread_atfork(NULL, NULL, in_child) || atexit(at_end)) {
		rein_error("cannot join reind: out of memory; running unscheduled");
		return;
	}
	start_threads();
	uint64_t until = rein_now_ns() + FIRST_WAIT_NS;
	while (!rein_load_acquire(&first_over) && rein_now_ns() < until)
		rein_futex_wait(&first_over, 0, until);
}
