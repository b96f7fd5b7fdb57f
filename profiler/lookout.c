// SPDX-License-Identifier: Apache-2.0
/* lookout.c: see lookout.h. */
#include "lookout.h"

#include <string.h>

void rein_lookout_want(struct rein_lookout *w, uint32_t wanted)
{
	rein_store_release(&w->wanted, wanted);
}

static void failed(struct rein_lookout *w, const char *why, void (*say)(const char *line))
{
	char line[320];
	if (strcmp(w->why, why) != 0 && say) {
		snprintf(line, sizeof(line), "%s; all else goes on", why);
		say(line);
	}
	snprintf(w->why, sizeof(w->why), "%s", why);
}

static void load_outsiders(struct rein_lookout *w, bool wanted, void (*say)(const char *line))
{
	char why[sizeof(w->why)];
	if (!wanted)
		w->no_outsiders = false;
	if (w->no_outsiders || rein_bpf_outsiders(w->bpf, wanted, why, sizeof(why)) == 0)
		return;
	w->no_outsiders = true;
	failed(w, why, say);
}

bool rein_lookout_load(struct rein_lookout *w, void (*say)(const char *line))
{
	char why[sizeof(w->why)];
	uint32_t wanted = rein_load_acquire(&w->wanted);
	bool fresh = false;
	if (!(wanted & REIN_LOOKOUT_BPF))
		return false;
	if (!w->bpf && !w->refused) {
		fresh = rein_bpf_open(&w->bpf, why, sizeof(why)) == 0;
		w->refused = !fresh;
		if (fresh)
			w->why[0] = 0;
		else
			failed(w, why, say);
	}
	if (w->bpf)
		load_outsiders(w, wanted & REIN_LOOKOUT_OUTSIDERS, say);
	return fresh;
}

void rein_lookout_unload(struct rein_lookout *w, bool recording)
{
	bool wanted = recording && rein_load_acquire(&w->wanted) & REIN_LOOKOUT_BPF;
	if (wanted)
		return;
	rein_bpf_close(w->bpf);
	w->bpf = NULL;
	w->refused = w->no_outsiders = false;
}

/* Of a process that may be gone already: "". */
static void read_comm(uint32_t pid, char comm[REIN_BPF_COMM])
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	REIN_AUTO_FCLOSE FILE *f = fopen(path, "re");
	size_t n = f ? fread(comm, 1, REIN_BPF_COMM, f) : 0;
	memset(comm + n, 0, REIN_BPF_COMM - n);
	char *end = memchr(comm, '\n', n);
	if (end)
		*end = 0;
}

bool rein_lookout_names(struct rein_lookout *w, struct rein_bpf_named *who)
{
	if (!rein_pid_names_news(&w->names, who->pid, who->comm))
		return false;
	if (!who->comm[0]) {
		read_comm(who->pid, who->comm);
		(void)rein_pid_names_news(&w->names, who->pid, who->comm);
	}
	rein_printable(who->comm, sizeof(who->comm), who->comm);
	return who->comm[0] != 0;
}

void rein_lookout_new_segment(struct rein_lookout *w)
{
	memset(&w->names, 0, sizeof(w->names));
}

void rein_lookout_report(const struct rein_lookout *w, struct rein_lookout_report *out)
{
	memset(out, 0, sizeof(*out));
	if (w->bpf) {
		out->sees = rein_bpf_sees(w->bpf);
		out->probed = rein_bpf_probed(w->bpf);
		out->cost_ns = rein_bpf_cost_ns(w->bpf);
	}
	if (!(rein_load_relaxed(&w->wanted) & REIN_LOOKOUT_BPF))
		snprintf(out->why, sizeof(out->why),
		         "waits for the CPU are not recorded: bpf = off in [daemon] of rein.conf");
	else
		snprintf(out->why, sizeof(out->why), "%s", w->why);
}
