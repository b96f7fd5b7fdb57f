// SPDX-License-Identifier: Apache-2.0
/* preempt.c: see preempt.h. */
#include "preempt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The end of the last interval with a part before `before`, or `least`. */
static uint64_t last_end(const struct wl_slices *s, uint64_t before, uint64_t least)
{
	uint64_t end = least;
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].start_ns >= before || s->v[i].end_ns <= end)
			continue;
		end = s->v[i].end_ns < before ? s->v[i].end_ns : before;
	}
	return end;
}

void wl_preempt_add(struct wl_preempt *p, uint64_t submitted_ns, uint64_t begin_ns, uint64_t end_ns,
                    const struct wl_slices *lower)
{
	uint64_t begin = begin_ns > submitted_ns ? begin_ns : submitted_ns;
	uint64_t end = end_ns > begin ? end_ns : begin;
	uint64_t last = last_end(lower, end, submitted_ns);
	uint64_t before = last_end(lower, begin, submitted_ns);
	wl_samples_add(&p->sample[WL_PREEMPT_LEAVES], before - submitted_ns);
	wl_samples_add(&p->sample[WL_PREEMPT_LOWER], last - submitted_ns);
	wl_samples_add(&p->sample[WL_PREEMPT_BEGIN], begin - submitted_ns);
	wl_samples_add(&p->sample[WL_PREEMPT_HANDOVER], begin - before);
	wl_samples_add(&p->sample[WL_PREEMPT_ALONE], (last > begin ? last : begin) - submitted_ns);
	wl_samples_add(&p->sample[WL_PREEMPT_END], end - submitted_ns);
}

void wl_preempt_sort(struct wl_preempt *p)
{
	for (int w = 0; w < WL_PREEMPT_WHATS; w++)
		wl_sort(p->sample[w].v, p->sample[w].n);
}

void wl_preempt_fini(struct wl_preempt *p)
{
	for (int w = 0; w < WL_PREEMPT_WHATS; w++)
		wl_samples_fini(&p->sample[w]);
}

/* Lines "pid stream kind name start end". */
int wl_preempt_load_order(struct wl_slices *s, const char *path, pid_t pid, const char *kernel)
{
	FILE *f = fopen(path, "re");
	char line[512], kind[16], name[64];
	if (!f) {
		fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path,
		        strerror(errno));
		return -1;
	}
	while (fgets(line, sizeof(line), f)) {
		struct wl_slice k;
		int who;
		if (sscanf(line, "%d %*s %15s %63s %" SCNu64 " %" SCNu64, &who, kind, name,
		           &k.start_ns, &k.end_ns) == 5 &&
		    who == pid && strcmp(kind, "kernel") == 0 && strcmp(name, kernel) == 0) {
			k.pid = who;
			wl_slices_add(s, k);
		}
	}
	fclose(f);
	return 0;
}
