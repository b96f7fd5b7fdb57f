// SPDX-License-Identifier: Apache-2.0
/*
 * record.c: the two logs (docs/softgpu.md), each line one write(2) to an O_APPEND file so that
 * processes may share a file, and lines for the user on stderr.
 */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct {
	int owner_fd, order_fd;
} record = {-1, -1};

static void write_line(int fd, const char *line, int len)
{
	int saved = errno;
	ssize_t ignored = write(fd, line, (size_t)len); /* a full disk must not stop the device */
	(void)ignored;
	errno = saved;
}

void sg_record_say(const char *fmt, ...)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "softgpu: ");
	va_list ap;
	va_start(ap, fmt);
	int more = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	n += more > 0 ? more : 0;
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	write_line(STDERR_FILENO, line, n);
}

static int open_log(const char *env, const char *path)
{
	if (!*path)
		return -1;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		sg_record_say("%s=%s: %s; nothing is logged", env, path, strerror(errno));
	return fd;
}

void sg_record_init(const struct sg_model *m)
{
	if (record.owner_fd >= 0 || record.order_fd >= 0)
		return; /* a second attempt to start */
	record.owner_fd = open_log("SOFTGPU_OWNER_LOG", m->owner_log);
	record.order_fd = open_log("SOFTGPU_ORDER_LOG", m->order_log);
}

/* At the end of the process: opened only now, so that a run leaves a line or nothing. */
void sg_record_stats(const struct sg_model *m, const struct sg_stats *st)
{
	char line[320];
	int fd = open_log("SOFTGPU_STATS", m->stats);
	if (fd < 0)
		return;
	int n = snprintf(line, sizeof(line),
	                 "pid=%d kernels=%" PRIu64 " copies=%" PRIu64 " sets=%" PRIu64
	                 " graphs=%" PRIu64 " overruns=%" PRIu64 " worst_overrun_ns=%" PRIu64
	                 " slices=%" PRIu64 " slice_switches=%" PRIu64 " memops=%" PRIu64 "\n",
	                 (int)getpid(), st->kernels, st->copies, st->sets, st->graphs, st->overruns,
	                 st->worst_overrun_ns, st->slices, st->slice_switches, st->memops);
	write_line(fd, line, n);
	close(fd);
}

void sg_record_owned(uint64_t start_ns, uint64_t end_ns)
{
	if (record.owner_fd < 0 || end_ns <= start_ns)
		return;
	char line[80];
	int n = snprintf(line, sizeof(line), "%d %llu %llu\n", (int)getpid(),
	                 (unsigned long long)start_ns, (unsigned long long)end_ns);
	write_line(record.owner_fd, line, n);
}

void sg_record_command(uint64_t stream_id, const char *kind, const char *name, uint64_t start_ns,
                       uint64_t end_ns)
{
	if (record.order_fd < 0)
		return;
	char line[320];
	int n = snprintf(line, sizeof(line), "%d %llu %s %.200s %llu %llu\n", (int)getpid(),
	                 (unsigned long long)stream_id, kind, name && *name ? name : "-",
	                 (unsigned long long)start_ns, (unsigned long long)end_ns);
	write_line(record.order_fd, line, n);
}
