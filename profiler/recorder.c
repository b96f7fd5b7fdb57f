// SPDX-License-Identifier: Apache-2.0
#include "recorder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../common/clock.h"

#define CELL sizeof(struct rein_trace_record)

void rein_recorder_init(struct rein_recorder *r, const char *run_dir, gid_t group)
{
	memset(r, 0, sizeof(*r));
	snprintf(r->dir, sizeof(r->dir), "%s/%s", run_dir, REIN_RECORDING_DIR);
	r->group = group;
	r->segment_bytes = REIN_SEGMENT_BYTES;
	r->segments = REIN_SEGMENTS;
	r->fd = -1;
}

static void failed(struct rein_recorder *r, const char *what, int err, uint64_t now_ns)
{
	char line[PATH_MAX + 160];
	if (!r->failing && r->say) {
		snprintf(line, sizeof(line),
		         "events are not recorded: cannot %s %s: %s; tried again every %llu s, "
		         "scheduling goes on",
		         what, r->dir, strerror(err),
		         (unsigned long long)(REIN_RECORDER_RETRY_NS / REIN_S));
		r->say(line);
	}
	r->failing = true;
	r->retry_ns = now_ns + REIN_RECORDER_RETRY_NS;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

/* ---------------------------------------------------------------- segments */

/* Removes the oldest beyond the limit, and finds the youngest. */
static void prune(struct rein_recorder *r)
{
	char path[PATH_MAX];
	struct dirent *d;
	uint32_t youngest = r->number;
	DIR *dir = opendir(r->dir);
	while (dir && (d = readdir(dir)) != NULL) {
		uint32_t number = rein_segment_number(d->d_name);
		youngest = number > youngest ? number : youngest;
	}
	if (dir)
		rewinddir(dir);
	while (dir && (d = readdir(dir)) != NULL) {
		uint32_t number = rein_segment_number(d->d_name);
		if (!number || number + r->segments > youngest + 1)
			continue;
		rein_segment_path(path, sizeof(path), r->dir, number);
		unlink(path);
	}
	if (dir)
		closedir(dir);
	r->number = youngest;
}

/* Privately, then readable for the group; never through somebody else's link. */
static int make_file(struct rein_recorder *r)
{
	char path[PATH_MAX];
	if (mkdir(r->dir, 0750) < 0 && errno != EEXIST)
		return -errno;
	if (r->group != (gid_t)-1 && chown(r->dir, (uid_t)-1, r->group) < 0)
		r->group = (gid_t)-1; /* ours alone then */
	prune(r);
	rein_segment_path(path, sizeof(path), r->dir, r->number + 1);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	if (r->group != (gid_t)-1 && fchown(fd, (uid_t)-1, r->group) < 0)
		r->group = (gid_t)-1;
	r->number++;
	return fd;
}

static uint64_t real_now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * REIN_S + (uint64_t)ts.tv_nsec;
}

static int begin_segment(struct rein_recorder *r, uint64_t now_ns)
{
	struct rein_segment_header h = {.magic = REIN_SEGMENT_MAGIC,
	                                .major = REIN_SEGMENT_MAJOR,
	                                .minor = REIN_SEGMENT_MINOR,
	                                .daemon_pid = (uint32_t)getpid(),
	                                .sees = r->sees,
	                                .begun_ns = now_ns,
	                                .begun_real_ns = real_now_ns()};
	int fd = make_file(r);
	if (fd < 0) {
		failed(r, "make a file in", -fd, now_ns);
		return fd;
	}
	h.number = r->number;
	rein_recording_boot(h.boot);
	r->fd = fd;
	r->segment_sees = r->sees;
	ssize_t n = write(fd, &h, sizeof(h));
	if (n != sizeof(h)) {
		failed(r, "write to", n < 0 ? errno : ENOSPC, now_ns);
		return -EIO;
	}
	r->size = sizeof(h);
	if (r->failing && r->say)
		r->say("events are recorded again");
	r->failing = false;
	return 0;
}

static void end_segment(struct rein_recorder *r, uint64_t now_ns)
{
	if (r->fd < 0)
		return;
	ssize_t ignored =
	    pwrite(r->fd, &now_ns, sizeof(now_ns), offsetof(struct rein_segment_header, ended_ns));
	(void)ignored; /* it then reads as cut, which loses nothing */
	close(r->fd);
	r->fd = -1;
}

/* ---------------------------------------------------------------- records */

void rein_recorder_flush(struct rein_recorder *r, uint64_t now_ns)
{
	const char *from = (const char *)r->buffer;
	size_t left = r->n * CELL, before = left;
	while (left && r->fd >= 0) {
		ssize_t n = write(r->fd, from, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int err = n ? errno : ENOSPC;
			if (ftruncate(r->fd, (off_t)(r->size / CELL * CELL)) < 0)
				err = errno; /* readers pass over a part of a cell too */
			failed(r, "write to", err, now_ns);
			break;
		}
		from += n;
		left -= (size_t)n;
		r->size += (uint64_t)n;
	}
	size_t kept = (before - left) / CELL;
	r->written += kept;
	r->bytes += before - left;
	r->lost += r->n - kept;
	r->n = 0;
}

bool rein_recorder_room(struct rein_recorder *r, unsigned n, uint64_t now_ns)
{
	bool fresh = false;
	if (r->n + n > REIN_RECORDER_BUFFER)
		rein_recorder_flush(r, now_ns);
	if (r->fd >= 0 && r->size + (r->n + n) * CELL > r->segment_bytes) {
		rein_recorder_flush(r, now_ns);
		end_segment(r, now_ns);
	}
	if (r->fd < 0 && now_ns >= r->retry_ns)
		fresh = begin_segment(r, now_ns) == 0;
	return fresh;
}

void rein_recorder_add(struct rein_recorder *r, unsigned n)
{
	r->n += n;
}

void rein_recorder_sees(struct rein_recorder *r, uint32_t sees)
{
	r->sees = sees;
	sees |= r->segment_sees;
	if (r->fd < 0 || sees == r->segment_sees)
		return;
	r->segment_sees = sees;
	ssize_t ignored =
	    pwrite(r->fd, &sees, sizeof(sees), offsetof(struct rein_segment_header, sees));
	(void)ignored; /* the next segment says it */
}

void rein_recorder_close(struct rein_recorder *r, uint64_t now_ns)
{
	rein_recorder_flush(r, now_ns);
	end_segment(r, now_ns);
}
