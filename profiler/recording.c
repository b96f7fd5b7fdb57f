// SPDX-License-Identifier: Apache-2.0
#include "recording.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SUFFIX ".rec"
#define BATCH 1024

int rein_segment_check(const struct rein_segment_header *h)
{
	if (memcmp(h->magic, REIN_SEGMENT_MAGIC, sizeof(h->magic)) != 0)
		return -EPROTO;
	return h->major == REIN_SEGMENT_MAJOR ? 0 : -EPROTONOSUPPORT;
}

void rein_segment_path(char *buf, size_t len, const char *dir, uint32_t number)
{
	snprintf(buf, len, "%s/%08u" SUFFIX, dir, number);
}

uint32_t rein_segment_number(const char *file)
{
	char *end;
	unsigned long number = isdigit((unsigned char)*file) ? strtoul(file, &end, 10) : 0;
	return number && number <= UINT32_MAX && strcmp(end, SUFFIX) == 0 ? (uint32_t)number : 0;
}

void rein_recording_boot(uint64_t boot[2])
{
	char text[40] = "";
	unsigned digits = 0;
	boot[0] = boot[1] = 0;
	REIN_AUTO_FCLOSE FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (!f || !fgets(text, sizeof(text), f))
		return;
	for (const char *p = text; *p && digits < 32; p++) {
		char digit[2] = {*p, 0};
		if (!isxdigit((unsigned char)*p))
			continue;
		boot[digits / 16] = boot[digits / 16] << 4 | strtoul(digit, NULL, 16);
		digits++;
	}
}

/* ---------------------------------------------------------------- the folder */

static int is_segment(const struct dirent *d)
{
	return rein_segment_number(d->d_name) != 0;
}

static int by_number(const void *x, const void *y)
{
	uint32_t a = ((const struct rein_segment *)x)->number;
	uint32_t b = ((const struct rein_segment *)y)->number;
	return a < b ? -1 : a > b;
}

/* Its header and length, if it is a segment of this boot. 0 or -errno. */
static int look_at(struct rein_segment *s, const char *dir, uint32_t number, const uint64_t boot[2])
{
	char path[PATH_MAX];
	struct stat st;
	rein_segment_path(path, sizeof(path), dir, number);
	REIN_AUTO_FCLOSE FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	if (fread(&s->header, sizeof(s->header), 1, f) != 1)
		return -EPROTO; /* its writer ended before it was whole */
	int err = rein_segment_check(&s->header);
	if (!err && memcmp(s->header.boot, boot, sizeof(s->header.boot)) != 0)
		err = -ESTALE;
	if (!err && fstat(fileno(f), &st) < 0)
		err = -errno;
	if (!err) {
		s->number = number;
		s->cells = (uint64_t)st.st_size / sizeof(struct rein_trace_record) - 1;
	}
	return err;
}

/* A daemon's last one: what follows is another daemon's, or nothing. */
static void mark_last(struct rein_recording *r)
{
	for (unsigned i = 0; i < r->n; i++)
		r->segment[i].last = i + 1 == r->n || r->segment[i + 1].header.daemon_pid !=
		                                          r->segment[i].header.daemon_pid;
}

static void add_all(struct rein_recording *r, struct dirent **list, int n, int *why)
{
	uint64_t boot[2];
	rein_recording_boot(boot);
	for (int i = 0; i < n && r->n < REIN_ARRAY_LEN(r->segment); i++) {
		uint32_t number = rein_segment_number(list[i]->d_name);
		int err = look_at(&r->segment[r->n], r->dir, number, boot);
		if (!err)
			r->n++;
		else if (err == -EACCES || err == -EPROTONOSUPPORT)
			*why = err;
	}
	qsort(r->segment, r->n, sizeof(r->segment[0]), by_number);
	mark_last(r);
}

int rein_recording_open(struct rein_recording *r, const char *run_dir, char *err, size_t err_len)
{
	struct dirent **list = NULL;
	int why = -ENOENT;
	memset(r, 0, sizeof(*r));
	snprintf(r->dir, sizeof(r->dir), "%s/%s", run_dir, REIN_RECORDING_DIR);
	int n = scandir(r->dir, &list, is_segment, alphasort);
	if (n < 0 && errno != ENOENT)
		why = -errno;
	if (n > 0)
		add_all(r, list, n, &why);
	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
	if (r->n)
		return 0;
	if (why == -ENOENT)
		snprintf(err, err_len, "nothing was recorded in %s", r->dir);
	else
		snprintf(err, err_len, "cannot read the recording in %s: %s", r->dir,
		         why == -EPROTONOSUPPORT ? "a newer rein wrote it" : strerror(-why));
	return why;
}

/* ---------------------------------------------------------------- cells */

int rein_segment_read(FILE *f, uint64_t cells,
                      int (*fn)(void *arg, const struct rein_trace_record *cell), void *arg)
{
	static __thread struct rein_trace_record batch[BATCH];
	while (cells) {
		size_t want = cells < BATCH ? (size_t)cells : BATCH;
		size_t n = fread(batch, sizeof(batch[0]), want, f);
		for (size_t i = 0; i < n; i++) {
			int result = fn(arg, &batch[i]);
			if (result)
				return result;
		}
		if (n < want)
			return ferror(f) ? -EIO : 0;
		cells -= n;
	}
	return 0;
}

int rein_recording_read(const struct rein_recording *r, unsigned segment,
                        int (*fn)(void *arg, const struct rein_trace_record *cell), void *arg)
{
	const struct rein_segment *s = &r->segment[segment];
	char path[PATH_MAX];
	rein_segment_path(path, sizeof(path), r->dir, s->number);
	REIN_AUTO_FCLOSE FILE *f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? 0 : -errno;
	if (fseek(f, sizeof(s->header), SEEK_SET) < 0)
		return -errno;
	return rein_segment_read(f, s->cells, fn, arg);
}
