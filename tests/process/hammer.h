/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hammer.h: what opens and closes a program's gate at random moments: a client of the daemon
 * without a GPU, more urgent than all, that comes and goes; and the order log of the software GPU,
 * read stream by stream.
 */
#ifndef REIN_TESTS_HAMMER_H
#define REIN_TESTS_HAMMER_H

#include "tests/process/raw_client.h"
#include "tests/rig.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define UUID_BYTES 16

/* ---------------------------------------------------------------- an urgent client, by hand */

static struct hammer {
	struct raw raw;
	pthread_t thread;
	rein_a32 stop;
	uint64_t random, blows;
} hammer;

static inline unsigned roll(unsigned n)
{
	hammer.random = hammer.random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(hammer.random >> 33) % n;
}

static inline void sleep_us(unsigned us)
{
	struct timespec t = {us / 1000000, us % 1000000 * 1000L};
	nanosleep(&t, NULL);
}

static inline void *hammer_main(void *arg)
{
	(void)arg;
	while (!rein_load_acquire(&hammer.stop)) {
		unsigned how = roll(100);
		unsigned us = how < 60   ? roll(300)
		              : how < 97 ? roll(3000)
		              : how < 99 ? roll(10000)
		                         : 2 * REIN_LEASE_NS / 1000; /* and over the lease */
		raw_demand(&hammer.raw, REIN_DEMAND_ACTIVE);
		sleep_us(us);
		raw_demand(&hammer.raw, 0);
		sleep_us(roll(100) < 70 ? roll(200) : roll(2000));
		hammer.blows++;
	}
	return NULL;
}

/* On both devices, which it knows by their UUIDs; idle until hammer_swing(). */
static inline void hammer_join(struct rig *rig)
{
	char out[256] = "";
	struct proc p = rig_start(rig, -1, "tests/clients/random_program", "--uuid");
	ck_assert_int_eq(proc_wait(&p, out, sizeof(out), WAIT_MS), 0);
	struct raw *r = &hammer.raw;
	struct rein_msg_hello hello = raw_hello("hammer", 90);
	ck_assert_int_eq(raw_greet(r, rig->dir, &hello, sizeof(hello)), sizeof(r->w));
	ck_assert_msg(r->w.error == 0, "%s", r->w.text);
	r->board = raw_map(r->fd[REIN_FD_BOARD], PROT_READ);
	r->status = (struct rein_status *)raw_map(r->fd[REIN_FD_STATUS], PROT_READ | PROT_WRITE);
	char *line = strtok(out, "\n");
	for (unsigned i = 0; i < 2; i++, line = strtok(NULL, "\n")) {
		ck_assert_msg(line && strlen(line) == 2 * UUID_BYTES, "no UUID of device %u", i);
		for (unsigned k = 0; k < UUID_BYTES; k++) {
			unsigned byte;
			ck_assert_int_eq(sscanf(line + 2 * k, "%2x", &byte), 1);
			r->status->device[i].uuid[k] = (uint8_t)byte;
		}
		r->status->device[i].ordinal = i;
		rein_store_release(&r->status->device[i].used, 1);
	}
	ck_assert_int_eq(eventfd_write(r->fd[REIN_FD_DOORBELL], 1), 0);
}

static inline void hammer_swing(void)
{
	hammer.random = 12345;
	rein_store_release(&hammer.stop, 0);
	ck_assert_int_eq(pthread_create(&hammer.thread, NULL, hammer_main, NULL), 0);
}

static inline void hammer_start(struct rig *rig)
{
	hammer_join(rig);
	hammer_swing();
}

static inline void hammer_end(void)
{
	rein_store_release(&hammer.stop, 1);
	ck_assert_int_eq(pthread_join(hammer.thread, NULL), 0);
	close(hammer.raw.sock);
}

/* ---------------------------------------------------------------- the order log */

struct entry {
	char lane[48], token[64];
	bool any_order;
	size_t at;
};

static inline int by_lane(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int c = strcmp(x->lane, y->lane);
	if (c == 0 && x->any_order)
		c = strcmp(x->token, y->token);
	return c ? c : x->at < y->at ? -1 : x->at > y->at;
}

static inline const char *name_of(const char *text, unsigned long long id, char name[16])
{
	for (const char *p = text; (p = strstr(p, "@stream ")) != NULL; p++) {
		unsigned long long found;
		if (sscanf(p, "@stream %15s %llu", name, &found) == 2 && found == id)
			return name;
	}
	/* a slice's stream: what goes there is its owner's (REIN_LOG=debug) */
	static const char goes[] = " goes out to stream ";
	for (const char *p = text; (p = strstr(p, goes)) != NULL; p++) {
		unsigned long long from, found;
		const char *line = p;
		while (line > text && line[-1] != ' ')
			line--;
		if (sscanf(line, "%llu goes out to stream %llu", &from, &found) == 2 && found == id)
			return name_of(text, from, name);
	}
	return "other"; /* a thread's that came and went */
}

/*
 * The order log, stream by stream. In the legacy stream several threads' work is mixed, and so is
 * that of threads that came and went: there each thread's kernels have their order, the rest is
 * counted. A graph's side branch (kernels b0) has its own. Marks are left out: ours are among them;
 * but not those in captures, where none of ours may be. They are logged when they are made and the
 * rest when it completes, so they are counted on their own.
 */
static bool order_without_memops; /* the queue gate's points are memory operations */
static inline char *order_of_run(const char *text, char *log)
{
	struct entry *list = NULL;
	size_t n = 0, room = 0;
	for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
		unsigned long long id;
		char kind[16], what[128], name[16];
		if (sscanf(line, "%*d %llu %15s %127s", &id, kind, what) != 3)
			ck_abort_msg("order log: %s", line);
		if (!strcmp(kind, "mark") || !strcmp(kind, "overrun") ||
		    (order_without_memops && !strcmp(kind, "memop")))
			continue;
		if (n == room) {
			room = room ? 2 * room : 1024;
			struct entry *grown = realloc(list, room * sizeof(*list));
			ck_assert_ptr_nonnull(grown);
			list = grown;
		}
		struct entry *e = &list[n];
		bool kernel = !strcmp(kind, "kernel"), branch = kernel && strstr(what, "_b0");
		bool captured = !strcmp(kind, "captured");
		const char *stream = name_of(text, id, name);
		bool shared = !strcmp(stream, "legacy") || !strcmp(stream, "other");
		snprintf(e->lane, sizeof(e->lane), "%s %.2s%s", stream,
		         shared && kernel ? what : "",
		         branch     ? " side"
		         : captured ? " captured"
		                    : "");
		snprintf(e->token, sizeof(e->token), "%s %.40s", kind, what);
		e->any_order = shared && !kernel;
		e->at = n++;
	}
	if (n)
		qsort(list, n, sizeof(*list), by_lane);
	char *all = malloc(n * sizeof(struct entry) + 1), *p = all;
	ck_assert_ptr_nonnull(all);
	*p = 0;
	for (size_t i = 0; i < n; i++)
		p += sprintf(p, "%s: %s\n", list[i].lane, list[i].token);
	free(list);
	return all;
}

#endif
