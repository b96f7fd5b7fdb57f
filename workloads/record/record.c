// SPDX-License-Identifier: Apache-2.0
/*
 * record.c: the proxy libcuda.so.1: it hands each call to the real driver and writes what trace.h
 * describes. Found through LD_LIBRARY_PATH, or preloaded: its soname is that of the driver, so the
 * loader gives it to whoever opens "libcuda.so.1".
 *
 *   CUDA_RECORD_DRIVER  the real libcuda.so.1, an absolute path
 *   CUDA_RECORD_DIR     where traces go (default: the working directory)
 *   CUDA_RECORD_LIMIT   bytes of one trace (default 64 MiB)
 *
 * Nothing is buffered and nothing locked while a line is written: a line is one write() to a file
 * opened for appending, so a process may end as it likes. The driver's tables (cuGetExportTable)
 * are passed through untouched.
 */
#include "record.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cuda_versions.h"

#define ENTRIES_MAX 2048
#define LIMIT (64ull << 20)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static void *real[ENTRIES_MAX]; /* the driver's exports, in the order of rec_entries[] */
static void *ours[ENTRIES_MAX];
static pthread_once_t driver_once = PTHREAD_ONCE_INIT;
static char driver_path[PATH_MAX];

static pthread_mutex_t file_lock = PTHREAD_MUTEX_INITIALIZER; /* opening only */
static int file = -1;
static bool file_failed, cut;
static uint64_t limit, written, seq, calls, started_ns;
static bool forked;
static bool initialised; /* cuInit was called here or in the parent */

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *fmt, ...)
{
	char text[PATH_MAX + 256] = "cuda recorder: ";
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text + 15, sizeof(text) - 17, fmt, ap);
	va_end(ap);
	size_t len = 15 + (size_t)(n < (int)sizeof(text) - 18 ? n : (int)sizeof(text) - 18);
	text[len++] = '\n';
	if (write(STDERR_FILENO, text, len) < 0)
		return; /* no stderr: then nobody is told */
}

/* ---------------------------------------------------------------- the real driver */

static bool same_file(const char *a, const char *b)
{
	struct stat sa, sb;
	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

static void find_driver(void)
{
	const char *path = getenv("CUDA_RECORD_DRIVER");
	Dl_info self;
	if (!path || path[0] != '/') {
		complain("CUDA_RECORD_DRIVER %s: set it to the absolute path of the real "
		         "libcuda.so.1",
		         path ? "is not an absolute path" : "is not set");
		return;
	}
	if (!dladdr((void *)find_driver, &self) || same_file(path, self.dli_fname)) {
		complain("CUDA_RECORD_DRIVER=%s is the recorder itself: set it to the real driver",
		         path);
		return;
	}
	void *driver = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	void *me = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
	if (!driver || !me) {
		complain("the real driver cannot be loaded: %s", dlerror());
		return;
	}
	snprintf(driver_path, sizeof(driver_path), "%s", path);
	for (int i = 0; i < rec_entry_count && i < ENTRIES_MAX; i++) {
		real[i] = dlsym(driver, rec_entries[i].name);
		ours[i] = dlsym(me, rec_entries[i].name);
	}
	(void)dlerror();
}

void *rec_real_function(const char *name)
{
	int entry = rec_entry_find(name);
	return entry < 0 ? NULL : real[entry];
}

/* ---------------------------------------------------------------- the file */

static int create_file(char *path, size_t len)
{
	const char *dir = getenv("CUDA_RECORD_DIR");
	int fd = -1;
	for (int i = 1; fd < 0 && i < 100; i++) {
		char again[16] = "";
		if (i > 1) /* the same program executed anew in this process */
			snprintf(again, sizeof(again), "-%d", i);
		snprintf(path, len, "%s/%s-%d%s.trace", dir && dir[0] ? dir : ".",
		         program_invocation_short_name, (int)getpid(), again);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	return fd;
}

/* The file is there for other threads when its first line is. */
static void begin_file(void)
{
	const char *max = getenv("CUDA_RECORD_LIMIT");
	char path[PATH_MAX], header[PATH_MAX + 512];
	struct rec_out o = {header, 0, sizeof(header)};
	int fd = create_file(path, sizeof(path));

	limit = max ? strtoull(max, NULL, 0) : LIMIT;
	started_ns = now_ns();
	rec_put(&o, "cuda-trace %d program=", REC_VERSION);
	rec_put_text(&o, program_invocation_short_name, 255);
	rec_put(&o, " pid=%d parent=%d forked=%d started=%llu header=%d driver=", (int)getpid(),
	        (int)getppid(), forked && __atomic_load_n(&initialised, __ATOMIC_RELAXED),
	        (unsigned long long)started_ns, CUDA_VERSION);
	rec_put_text(&o, driver_path, PATH_MAX);
	rec_put(&o, "\n");
	if (fd < 0 || write(fd, header, o.len) != (ssize_t)o.len) {
		complain("%s: %s; nothing is recorded", path, strerror(errno));
		__atomic_store_n(&file_failed, true, __ATOMIC_RELAXED);
		return;
	}
	written = o.len;
	__atomic_store_n(&file, fd, __ATOMIC_RELEASE);
}

void rec_write(const char *line, size_t len)
{
	char last[64];
	int fd = __atomic_load_n(&file, __ATOMIC_ACQUIRE);
	if (fd < 0 || __atomic_load_n(&cut, __ATOMIC_RELAXED))
		return;
	if (__atomic_add_fetch(&written, len, __ATOMIC_RELAXED) > limit) {
		if (!__atomic_exchange_n(&cut, true, __ATOMIC_RELAXED)) {
			complain("the trace of process %d is cut at CUDA_RECORD_LIMIT=%llu bytes",
			         (int)getpid(), (unsigned long long)limit);
			len = (size_t)snprintf(last, sizeof(last), "cut %llu\n",
			                       (unsigned long long)limit);
			line = last;
		} else {
			return;
		}
	}
	if (write(fd, line, len) != (ssize_t)len &&
	    !__atomic_exchange_n(&cut, true, __ATOMIC_RELAXED))
		complain("the trace cannot be written: %s; it ends here", strerror(errno));
}

static void need_file(void)
{
	if (__atomic_load_n(&file, __ATOMIC_ACQUIRE) >= 0 ||
	    __atomic_load_n(&file_failed, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&file_lock);
	if (file < 0 && !file_failed)
		begin_file();
	pthread_mutex_unlock(&file_lock);
}

__attribute__((destructor)) static void end_file(void)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "end %llu\n",
	                 (unsigned long long)__atomic_load_n(&calls, __ATOMIC_RELAXED));
	rec_write(line, (size_t)n);
}

/* ---------------------------------------------------------------- fork: the child's own trace */

static void before_fork(void)
{
	rec_kernels_fork(-1);
	pthread_mutex_lock(&file_lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&file_lock);
	rec_kernels_fork(0);
}

static void in_child(void)
{
	if (file >= 0)
		close(file);
	file = -1;
	file_failed = cut = false;
	written = seq = calls = 0;
	forked = true;
	after_fork();
}

__attribute__((constructor)) static void begin(void)
{
	pthread_atfork(before_fork, after_fork, in_child);
}

/* ---------------------------------------------------------------- a call */

/* What a call may change: behind pointers that are not const. */
static void keep(struct rec_call *c)
{
	const struct rec_entry *e = &rec_entries[c->entry];
	for (int i = 0; i < e->n; i++) {
		const struct rec_param *p = &e->params[i];
		bool more;
		c->kept_len[i] = 0;
		if (p->kind != REC_OBJECT || p->is_const || !c->args[i].u)
			continue;
		size_t len = rec_bytes_behind(c, i, REC_BEFORE_MAX, &more);
		if (more || c->kept + len > sizeof(c->bytes))
			continue;
		memcpy(c->bytes + c->kept, (const void *)(uintptr_t)c->args[i].u, len);
		c->kept_at[i] = c->kept;
		c->kept_len[i] = (uint16_t)len;
		c->kept = (uint16_t)(c->kept + len);
	}
}

void *rec_begin(struct rec_call *c, int entry, const union rec_value *args)
{
	int saved = errno;
	pthread_once(&driver_once, find_driver);
	need_file();
	c->entry = entry;
	c->args = args;
	c->found = NULL;
	c->kept = 0;
	keep(c);
	c->seq = __atomic_add_fetch(&seq, 1, __ATOMIC_RELAXED);
	errno = saved;
	c->begin_ns = now_ns();
	return real[entry];
}

CUresult rec_absent(struct rec_call *c)
{
	return driver_path[0] ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_SYSTEM_NOT_READY;
}

/* A line for a kernel that is launched for the first time. */
static void introduce(const struct rec_call *c)
{
	const struct rec_entry *e = &rec_entries[c->entry];
	uint16_t sizes[1024];
	char name[4096], line[12288];
	struct rec_out o = {line, 0, sizeof(line)};
	uint64_t f = 0;
	bool launch = false, fresh;
	for (int i = 0; i < e->n; i++) {
		launch |= e->params[i].kind == REC_PARAMS;
		if (e->params[i].kind == REC_HANDLE && strcmp(e->params[i].type, "CUfunction") == 0)
			f = c->args[i].u;
		if (c->args[i].u && e->params[i].kind == REC_OBJECT)
			launch |=
			    rec_node_function(&e->params[i], (void *)(uintptr_t)c->args[i].u, &f);
	}
	int n = launch && f ? rec_kernel_params(f, sizes, 1024, &fresh) : -1;
	if (n < 0 || !fresh)
		return;
	rec_put(&o, "kernel 0x%llx ", (unsigned long long)f);
	rec_put_text(&o, rec_kernel_name(f, name, sizeof(name)), REC_TEXT_MAX);
	for (int i = 0; i < n; i++)
		rec_put(&o, i ? ",%u" : " %u", sizes[i]);
	rec_put(&o, "\n");
	rec_write(line, o.len);
}

void rec_end(struct rec_call *c, CUresult r)
{
	int saved = errno;
	c->end_ns = now_ns();
	char line[REC_LINE_MAX];
	struct rec_out o = {line, 0, sizeof(line) - 1};
	const char *name = rec_entries[c->entry].name;

	__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
	if (strcmp(name, "cuInit") == 0)
		__atomic_store_n(&initialised, true, __ATOMIC_RELAXED);
	rec_kernel_learn(c, r);
	introduce(c);
	rec_put(&o, "call %llu %ld %llu %llu %d %s", (unsigned long long)c->seq,
	        (long)syscall(SYS_gettid), (unsigned long long)(c->begin_ns - started_ns),
	        (unsigned long long)(c->end_ns - c->begin_ns), (int)r, name);
	rec_put_args(&o, c, r);
	line[o.len] = '\n';
	rec_write(line, o.len + 1);
	errno = saved;
}

/* ---------------------------------------------------------------- cuGetProcAddress */

/* The entry that (name, version, flags) means by the header's rules; -1: the header knows none. */
static int asked_for(const char *base, int version, cuuint64_t flags)
{
	bool per_thread = flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
	const struct cuda_version_row *best = NULL;
	for (size_t i = 0; i < ARRAY_LEN(cuda_version_rows); i++) {
		const struct cuda_version_row *row = &cuda_version_rows[i];
		if (strcmp(row->base, base) || row->version > version ||
		    (row->per_thread && !per_thread))
			continue;
		if (!best || row->per_thread >= best->per_thread)
			best = row; /* ascending versions */
	}
	return best ? rec_entry_find(best->symbol) : -1;
}

/*
 * The address says which function the driver means, if it exports that ("exact"). It may hand out
 * others than it exports: then the header's rules name the function ("rule"), but not for a version
 * newer than the header. What neither names stays the driver's and is not recorded ("opaque").
 */
void rec_substitute(struct rec_call *c, CUresult r, const char *symbol, void **pfn, int version,
                    cuuint64_t flags)
{
	if (r != CUDA_SUCCESS || !symbol || !pfn || !*pfn)
		return;
	int entry = asked_for(symbol, version, flags);
	c->found = "exact";
	if (entry < 0 || real[entry] != *pfn) {
		int exported = 0;
		while (exported < rec_entry_count && real[exported] != *pfn)
			exported++;
		if (exported < rec_entry_count)
			entry = exported;
		else
			c->found = entry >= 0 && version <= CUDA_VERSION ? "rule" : "opaque";
	}
	if (strcmp(c->found, "opaque") == 0 || !ours[entry])
		return;
	if (!real[entry])
		real[entry] = *pfn; /* reachable in this way only */
	*pfn = ours[entry];
}
