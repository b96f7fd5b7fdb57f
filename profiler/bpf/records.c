// SPDX-License-Identifier: Apache-2.0
/* records.c: see records.h. */
#include "records.h"

#include <string.h>

static_assert(REIN_BPF_RUNNABLE_NS == REIN_OFFCPU_MIN_NS, "as recording.h says");
static_assert((int)REIN_BPF_LAUNCH == REIN_OUTSIDER_LAUNCH, "one meaning");
static_assert((int)REIN_BPF_SYNC == REIN_OUTSIDER_SYNC, "one meaning");
static_assert((int)REIN_BPF_IOCTL == REIN_OUTSIDER_IOCTL, "one meaning");
static_assert((int)REIN_BPF_EXIT == REIN_OUTSIDER_EXIT, "one meaning");

/* Never 0, which says that it is not known: whoever had the CPU had some of that time. */
static uint8_t part(uint32_t of_255)
{
	return (uint8_t)(of_255 > 255 ? 255 : of_255 ? of_255 : 1);
}

void rein_bpf_off_record(const struct rein_bpf_off *off, struct rein_trace_record *r)
{
	bool doing = off->doing.phase > REIN_PHASE_NONE && off->doing.phase < REIN_PHASES;
	*r = (struct rein_trace_record){
	    .stamp = off->client,
	    .thread = off->thread,
	    .kind = REIN_TRACE_OFFCPU,
	    .flags = part(off->before_part),
	    .result = (uint16_t)(doing ? off->doing.phase : REIN_PHASE_NONE),
	    .entry = doing && off->doing.phase == REIN_PHASE_GATE ? off->doing.holder : 0,
	    .begin = off->begin_ns,
	    .end = off->end_ns,
	    .stream = off->cpu,
	    .number = off->waker,
	    .func = off->doing.request,
	    .a = off->runnable_ns,
	    .b = off->waker_tgid | (uint64_t)off->before_tgid << 32,
	};
	if (r->end < r->begin) /* the clocks of two CPUs */
		r->end = r->begin;
	if (r->a > r->end)
		r->a = r->end;
}

bool rein_bpf_outsider_record(const struct rein_bpf_outsider_key *key,
                              const struct rein_bpf_outsider *o, struct rein_trace_record *r)
{
	if (key->what < REIN_BPF_LAUNCH || key->what > REIN_BPF_EXIT)
		return false;
	*r = (struct rein_trace_record){
	    .thread = key->tgid,
	    .kind = REIN_TRACE_OUTSIDER,
	    .result = (uint16_t)key->what,
	    .begin = o->begin_ns,
	    .end = o->end_ns > o->begin_ns ? o->end_ns : o->begin_ns,
	    .a = o->count,
	};
	return true;
}

bool rein_pid_names_news(struct rein_pid_names *n, uint32_t pid, const char *comm)
{
	unsigned i = pid % REIN_PID_NAMES;
	bool same = !comm[0] || strncmp(n->row[i].comm, comm, sizeof(n->row[i].comm)) == 0;
	if (!pid || (n->row[i].pid == pid && same))
		return false;
	n->row[i].pid = pid;
	memset(n->row[i].comm, 0, sizeof(n->row[i].comm));
	memcpy(n->row[i].comm, comm, strnlen(comm, sizeof(n->row[i].comm)));
	return true;
}
