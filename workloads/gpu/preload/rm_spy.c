// SPDX-License-Identifier: Apache-2.0
/*
 * rm_spy.c: a preload library that watches what a process' NVIDIA libraries ask of the resource
 * manager. It stands in for libc's ioctl, passes every call on unchanged, and decodes those on
 * /dev/nvidiactl and /dev/nvidia<N> after they returned (workloads/gpu/lib/rm.h). A program finds
 * its own channel group through wl_rm_spy_snapshot(); RM_SPY_LOG=FILE appends one JSON object a
 * call for other programs to read.
 *
 * The software GPU's resource manager (SOFTGPU_RM=1) is a file that no kernel answers: what the
 * system refuses with ENOTTY is put to its entry (softgpu/rm_double.h).
 *
 * The process sees no difference: results and errno are those of the real call. Nothing is
 * allocated; after LOG_LINES lines the log ends.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../../softgpu/rm_double.h"
#include "../lib/rm.h"

#define LOG_LINES 60000
#define LOG_PARAMS 40 /* bytes of a control's parameters that are logged */
#define EXPORT __attribute__((visibility("default")))

static struct wl_rm_table table;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static unsigned log_lines;
static int (*next_ioctl)(int fd, unsigned long request, ...);

EXPORT wl_rm_spy_snapshot_fn wl_rm_spy_snapshot;
EXPORT wl_rm_spy_ioctl_fn wl_rm_spy_ioctl;

/* The software GPU's entry, if that is the driver here. */
static int ask_double(int fd, unsigned long request, void *arg)
{
	static int (*entry)(int fd, unsigned long request, void *arg);
	if (!entry) {
		void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
		void *symbol = driver ? dlsym(driver, SOFTGPU_RM_ENTRY) : NULL;
		memcpy(&entry, &symbol, sizeof(entry));
		if (driver)
			dlclose(driver); /* it stays loaded by whoever loaded it */
	}
	errno = ENOTTY;
	return entry ? entry(fd, request, arg) : -1;
}

int wl_rm_spy_ioctl(int fd, unsigned long request, void *arg)
{
	int result =
	    next_ioctl ? next_ioctl(fd, request, arg) : (int)syscall(SYS_ioctl, fd, request, arg);
	if (result == -1 && errno == ENOTTY && _IOC_TYPE(request) == REIN_RM_IOC_TYPE)
		return ask_double(fd, request, arg);
	return result;
}

void wl_rm_spy_snapshot(struct wl_rm_table *out)
{
	pthread_mutex_lock(&lock);
	memcpy(out, &table, sizeof(table));
	pthread_mutex_unlock(&lock);
}

/* A fork while another thread holds the lock would leave it locked for ever. */
static void after_fork(void)
{
	pthread_mutex_init(&lock, NULL);
}

__attribute__((constructor)) static void start(void)
{
	void *symbol = dlsym(RTLD_NEXT, "ioctl");
	memcpy(&next_ioctl, &symbol, sizeof(next_ioctl));
	pthread_atfork(NULL, NULL, after_fork);
	const char *path = getenv("RM_SPY_LOG");
	if (path && path[0])
		log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

/* Descriptors are reused, so the name is asked for each time; the driver's ioctls are rare. */
static bool is_nvidia(int fd)
{
	char link[40], name[64];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, name, sizeof(name) - 1);
	if (n <= 0)
		return false;
	name[n] = '\0';
	return strncmp(name, "/dev/nvidia", 11) == 0 ||
	       strncmp(name, "/memfd:" SOFTGPU_RM_FILE, strlen("/memfd:" SOFTGPU_RM_FILE)) == 0;
}

struct line {
	char text[640];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *l, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(l->text + l->len, sizeof(l->text) - l->len, fmt, args);
	va_end(args);
	if (n > 0 && (size_t)n < sizeof(l->text) - l->len)
		l->len += (size_t)n;
}

static void add_control(struct line *l, const struct wl_rm_event *e)
{
	uint32_t class_id = e->cmd >> 16;
	add(l, ",\"cmd\":\"0x%08x\",\"bytes\":%u", e->cmd, e->params_size);
	bool scheduling = class_id == 0xa06c || class_id == 0xa06f ||
	                  e->cmd == REIN_RM_CMD_DISABLE_CHANNELS ||
	                  e->cmd == WL_RM_CMD_SET_PREEMPTION || e->cmd == WL_RM_CMD_GET_MODES;
	if (!e->params || !scheduling)
		return;
	add(l, ",\"params\":\"");
	for (uint32_t i = 0; i < e->params_size && i < LOG_PARAMS; i++)
		add(l, "%02x", ((const unsigned char *)e->params)[i]);
	add(l, "\"");
}

static void log_event(int fd, const struct wl_rm_event *e)
{
	static const char *const kinds[] = {"", "alloc", "free", "control", "other", "unknown"};
	struct timespec now;
	struct line l = {.len = 0};
	if (log_fd < 0 || e->kind == WL_RM_EVENT_NONE || log_lines >= LOG_LINES)
		return;
	log_lines++;
	clock_gettime(CLOCK_MONOTONIC, &now);
	add(&l, "{\"pid\":%d,\"t\":%lld%09ld,\"op\":\"%s\",\"fd\":%d", (int)getpid(),
	    (long long)now.tv_sec, now.tv_nsec, kinds[e->kind], fd);
	if (e->kind == WL_RM_EVENT_OTHER || e->kind == WL_RM_EVENT_UNKNOWN)
		add(&l, ",\"number\":%u,\"size\":%u", e->number, e->size);
	else
		add(&l, ",\"client\":\"0x%x\",\"object\":\"0x%x\",\"status\":\"0x%x\"", e->client,
		    e->object, e->status);
	if (e->kind == WL_RM_EVENT_ALLOC) {
		add(&l, ",\"parent\":\"0x%x\",\"class\":\"0x%04x\"", e->parent, e->class_id);
		if (e->engine != WL_RM_UNKNOWN)
			add(&l, ",\"engine\":%u", e->engine);
		if (e->flags != WL_RM_UNKNOWN)
			add(&l, ",\"flags\":\"0x%08x\"", e->flags);
	}
	if (e->kind == WL_RM_EVENT_CONTROL)
		add_control(&l, e);
	add(&l, "}\n");
	if (write(log_fd, l.text, l.len) < 0)
		log_lines = LOG_LINES; /* a full disk: no further attempts */
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	va_start(args, request);
	void *arg = va_arg(args, void *);
	va_end(args);
	int result = wl_rm_spy_ioctl(fd, request, arg);
	if (_IOC_TYPE(request) != REIN_RM_IOC_TYPE)
		return result;
	int saved = errno;
	if (is_nvidia(fd)) {
		pthread_mutex_lock(&lock);
		struct wl_rm_event e = wl_rm_observe(&table, fd, request, arg, result);
		log_event(fd, &e);
		pthread_mutex_unlock(&lock);
	}
	errno = saved;
	return result;
}
