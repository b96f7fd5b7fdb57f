// SPDX-License-Identifier: Apache-2.0
/* none.c: bpf.h in a build without libbpf, clang or bpftool. */
#include "bpf.h"

#include <errno.h>
#include <stdio.h>

int rein_bpf_open(struct rein_bpf **out, char *why, size_t why_len)
{
	snprintf(why, why_len,
	         "this reind was built without BPF; install libbpf-dev, clang and "
	         "bpftool and build again");
	return -ENOSYS;
}

void rein_bpf_close(struct rein_bpf *b)
{
}

int rein_bpf_join(struct rein_bpf *b, pid_t pid, uint32_t id)
{
	return -ENOSYS;
}

void rein_bpf_leave(struct rein_bpf *b, int slot)
{
}

void rein_bpf_doing(struct rein_bpf *b, int slot, int64_t doing)
{
}

uint64_t rein_bpf_lost(struct rein_bpf *b, int slot)
{
	return 0;
}

int rein_bpf_outsiders(struct rein_bpf *b, bool on, char *why, size_t why_len)
{
	return -ENOSYS;
}

unsigned rein_bpf_probed(const struct rein_bpf *b)
{
	return 0;
}

unsigned rein_bpf_cost_ns(const struct rein_bpf *b)
{
	return 0;
}

void rein_bpf_take(struct rein_bpf *b, const struct rein_bpf_sink *sink, uint64_t now_ns)
{
}

uint32_t rein_bpf_sees(const struct rein_bpf *b)
{
	return 0;
}
