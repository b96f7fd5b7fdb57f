// SPDX-License-Identifier: Apache-2.0
#include "simtrace.h"

#include <errno.h>

#define PID_DEVICE 1u
#define PID_CLIENT(i) (2u + (i))

/* Nanoseconds as the microseconds that the format wants, exactly. */
#define US "%llu.%03u"
#define US_OF(ns) (unsigned long long)((ns) / 1000), (unsigned)((ns) % 1000)

static void text(FILE *f, const char *s)
{
	putc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c < 0x20)
			fprintf(f, "\\u%04x", c);
		else
			putc(c, f);
	}
	putc('"', f);
}

static void name_of(FILE *f, const char *what, unsigned pid, unsigned tid, const char *name)
{
	fprintf(f, "{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%u,\"tid\":%u,\"args\":{\"name\":", what,
	        pid, tid);
	text(f, name);
	fputs("}},\n", f);
}

int rein_simtrace_open(struct rein_simtrace *t, const char *path,
                       const struct rein_sim_setup *setup)
{
	*t = (struct rein_simtrace){.setup = setup, .f = fopen(path, "we")};
	if (!t->f)
		return -errno;
	fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", t->f);
	name_of(t->f, "process_name", PID_DEVICE, 0, "GPU (simulated)");
	name_of(t->f, "thread_name", PID_DEVICE, 1, "SMs");
	unsigned engines = setup->copy_engines ? setup->copy_engines : 1;
	for (unsigned i = 0; i < engines; i++) {
		char name[32];
		snprintf(name, sizeof(name), "copy engine %u", i);
		name_of(t->f, "thread_name", PID_DEVICE, 2 + i, name);
	}
	for (unsigned i = 0; i < setup->n; i++) {
		t->closed_ns[i] = UINT64_MAX;
		name_of(t->f, "process_name", PID_CLIENT(i), 0, setup->client[i].name);
		name_of(t->f, "thread_name", PID_CLIENT(i), 1, "gate");
	}
	return 0;
}

static void span(struct rein_simtrace *t, unsigned pid, unsigned tid, uint64_t from_ns,
                 uint64_t to_ns, const char *prefix, const char *name)
{
	char label[160];
	snprintf(label, sizeof(label), "%s%s", prefix, name);
	fprintf(t->f,
	        "{\"ph\":\"X\",\"pid\":%u,\"tid\":%u,\"ts\":" US ",\"dur\":" US ",\"name\":", pid,
	        tid, US_OF(from_ns), US_OF(to_ns - from_ns));
	text(t->f, label);
	fputs("},\n", t->f);
}

static void request(struct rein_simtrace *t, const struct rein_sim_event *e)
{
	unsigned long long id = ++t->requests;
	const char *name = e->missed ? "request (late)" : "request";
	fprintf(t->f,
	        "{\"ph\":\"b\",\"cat\":\"request\",\"id\":%llu,\"pid\":%u,\"tid\":1,\"ts\":" US
	        ",\"name\":\"%s\"},\n",
	        id, PID_CLIENT(e->client), US_OF(e->since_ns), name);
	fprintf(t->f,
	        "{\"ph\":\"e\",\"cat\":\"request\",\"id\":%llu,\"pid\":%u,\"tid\":1,\"ts\":" US
	        ",\"name\":\"%s\"},\n",
	        id, PID_CLIENT(e->client), US_OF(e->at_ns), name);
}

static void gate_span(struct rein_simtrace *t, unsigned i, uint64_t to_ns)
{
	if (t->closed_ns[i] == UINT64_MAX || to_ns == t->closed_ns[i])
		return;
	bool known = t->holder[i] < t->setup->n;
	span(t, PID_CLIENT(i), 1, t->closed_ns[i], to_ns, known ? "held for " : "held",
	     known ? t->setup->client[t->holder[i]].name : "");
}

void rein_simtrace_event(void *arg, const struct rein_sim_event *e)
{
	struct rein_simtrace *t = arg;
	switch (e->type) {
	case REIN_SIM_EV_RUN:
		span(t, PID_DEVICE, 1 + e->engine, e->since_ns, e->at_ns, "",
		     t->setup->client[e->client].name);
		break;
	case REIN_SIM_EV_SWITCH:
		span(t, PID_DEVICE, 1, e->since_ns, e->at_ns, "switch to ",
		     t->setup->client[e->client].name);
		break;
	case REIN_SIM_EV_DONE:
		request(t, e);
		break;
	case REIN_SIM_EV_GATE:
		gate_span(t, e->client, e->at_ns);
		t->closed_ns[e->client] = e->closed ? e->at_ns : UINT64_MAX;
		t->holder[e->client] = e->other;
		break;
	default:
		break;
	}
}

int rein_simtrace_close(struct rein_simtrace *t)
{
	for (unsigned i = 0; i < t->setup->n; i++)
		gate_span(t, i, t->setup->duration_ns);
	/* the list must not end with a comma */
	fputs(
	    "{\"ph\":\"M\",\"name\":\"trace\",\"pid\":1,\"tid\":0,\"args\":{\"simulated\":true}}\n"
	    "]}\n",
	    t->f);
	int err = ferror(t->f) ? -EIO : 0;
	if (fclose(t->f) != 0 && !err)
		err = -errno;
	t->f = NULL;
	return err;
}
