// SPDX-License-Identifier: Apache-2.0
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../common/clock.h"
#include "../common/log.h"
#include "../common/ring.h"
#include "../common/sms.h"
#include "../common/sock.h"
#include "../common/ticks.h"

static bool terminated(const char *text, size_t len)
{
	return memchr(text, 0, len) != NULL;
}

/* An older peer's greeting is shorter: what it did not send was not asked for. */
static void complete(struct rein_msg_hello *h)
{
	if (h->header.size >= sizeof(*h))
		return;
	size_t known = h->header.size < REIN_HELLO_SIZE_2 ? REIN_HELLO_SIZE_1 : REIN_HELLO_SIZE_2;
	memset((char *)h + known, 0, sizeof(*h) - known);
	if (known == REIN_HELLO_SIZE_1)
		h->latency_nice = REIN_NICE_UNSET;
}

static int check_wishes(struct rein_msg_hello *h, char *why, size_t why_len)
{
	if (!terminated(h->name, sizeof(h->name)) || !terminated(h->job, sizeof(h->job)) ||
	    !terminated(h->class_name, sizeof(h->class_name)) ||
	    !terminated(h->exe, sizeof(h->exe))) {
		snprintf(why, why_len, "a name in the greeting has no end");
		return -EPROTO;
	}
	if (h->flags & ~REIN_HELLO_CHECK) {
		snprintf(why, why_len, "unknown flags %#x in the greeting", h->flags);
		return -EPROTO;
	}
	if (h->weight > REIN_WEIGHT_MAX) {
		snprintf(why, why_len, "weight %u does not exist; accepted: 1 to %d", h->weight,
		         REIN_WEIGHT_MAX);
		return -EINVAL;
	}
	if (h->latency_nice != REIN_NICE_UNSET &&
	    (h->latency_nice < REIN_NICE_MIN || h->latency_nice > REIN_NICE_MAX)) {
		snprintf(why, why_len, "latency_nice %d does not exist; accepted: %d to %d",
		         h->latency_nice, REIN_NICE_MIN, REIN_NICE_MAX);
		return -EINVAL;
	}
	if (!rein_sms_ok(h->sms)) {
		snprintf(why, why_len, "sms %#x does not exist; accepted: %s", h->sms,
		         REIN_SMS_ACCEPTED);
		return -EINVAL;
	}
	return rein_timing_check(&h->timing, why, why_len);
}

int rein_hello_check(struct rein_msg_hello *h, size_t len, char *why, size_t why_len)
{
	const struct rein_msg_header *m = &h->header;
	why[0] = 0;
	if (len < sizeof(*m) || m->magic != REIN_ABI_MAGIC)
		return -EBADMSG;
	if (m->abi_major != REIN_ABI_MAJOR) {
		snprintf(why, why_len,
		         "the program's librein.so speaks ABI %u, this daemon %u: install the "
		         "same version of both",
		         m->abi_major, REIN_ABI_MAJOR);
		return -EPROTONOSUPPORT;
	}
	if (m->type != REIN_MSG_HELLO || len != m->size || m->size < REIN_HELLO_SIZE_1)
		return -EBADMSG;
	complete(h);
	return check_wishes(h, why, why_len);
}

struct rein_wish rein_wish_of(const struct rein_msg_hello *h)
{
	return (struct rein_wish){.class_name = h->class_name,
	                          .prio = h->prio,
	                          .weight = h->weight,
	                          .latency_nice = h->latency_nice,
	                          .timing = h->timing,
	                          .sms = h->sms};
}

/* A sealed object of `size` bytes with its header written. NULL with *err. */
static void *object_new(const char *name, size_t size, int *fd, int *err)
{
	*fd = rein_memfd_new(name, REIN_AREA_ALIGN);
	if (*fd < 0) {
		*err = *fd;
		return NULL;
	}
	struct rein_abi_header *h =
	    mmap(NULL, REIN_AREA_ALIGN, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (h == MAP_FAILED) {
		*err = -errno;
		return NULL;
	}
	h->major = REIN_ABI_MAJOR;
	h->minor = REIN_ABI_MINOR;
	h->size = (uint32_t)size;
	h->magic = REIN_ABI_MAGIC;
	return h;
}

static void name_client(struct rein_client *c, const char *asked)
{
	const char *slash = strrchr(c->who.exe, '/');
	const char *name = asked[0] ? asked : slash && slash[1] ? slash + 1 : c->who.comm;
	rein_printable(c->member.arbiter.name, sizeof(c->member.arbiter.name), name);
}

/* A client that fills it only makes its own rings fail, when one is pending anyway. */
static int doorbell_new(int *bell_fd, int *ring_fd)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	*bell_fd = ends[0];
	*ring_fd = ends[1];
	return 0;
}

/* For its records: written by the client, read by the collector. Nobody is refused for want of
 * them: such a client records nothing. Nobody has it mapped here, so its header goes by write(). */
static void make_rings(struct rein_client *c, const struct rein_msg_hello *h)
{
	const struct rein_ring_head head = {
	    .header = {.magic = REIN_ABI_MAGIC,
	               .major = REIN_ABI_MAJOR,
	               .minor = REIN_ABI_MINOR,
	               .size = sizeof(struct rein_ring_area)},
	    .offers = rein_ticks_invariant() ? REIN_RING_OFFERS_TICKS : 0};
	if (h->header.abi_minor < REIN_ABI_MINOR_RINGS)
		return;
	c->rings_fd = rein_memfd_new("rein-rings", REIN_RING_AREA_BYTES);
	c->member.arbiter.traceable = c->rings_fd >= 0 &&
	                              pwrite(c->rings_fd, &head, sizeof(head), 0) == sizeof(head) &&
	                              fcntl(c->rings_fd, F_ADD_SEALS, F_SEAL_SEAL) == 0;
	if (c->member.arbiter.traceable)
		return;
	rein_debug("no rings for client %u: %s", c->member.arbiter.policy.id, strerror(errno));
	if (c->rings_fd >= 0)
		close(c->rings_fd);
	c->rings_fd = -1;
}

/* The word that its GPU waits for: as with the rings, nobody is refused for want of it. */
static void make_points(struct rein_client *c, const struct rein_msg_hello *h)
{
	int err = 0;
	if (h->header.abi_minor < REIN_ABI_MINOR_POINTS || c->rings_fd < 0)
		return;
	c->points = object_new("rein-points", sizeof(*c->points), &c->points_fd, &err);
	if (c->points) {
		rein_store_release(&c->points->open, 1);
		if (fcntl(c->points_fd, F_ADD_SEALS, F_SEAL_SEAL) < 0)
			err = -errno;
	}
	if (!err) {
		c->member.arbiter.points = c->points;
		return;
	}
	rein_debug("no points for client %u: %s", c->member.arbiter.policy.id, strerror(-err));
	if (c->points_fd >= 0)
		close(c->points_fd);
	c->points_fd = -1;
}

static int make_objects(struct rein_client *c)
{
	int err = 0;
	c->control = object_new("rein-control", sizeof(*c->control), &c->control_fd, &err);
	if (!c->control)
		return err;
	c->control->client_id = c->member.arbiter.policy.id;
	err = rein_memfd_freeze(c->control_fd);
	if (err)
		return err;
	c->status = object_new("rein-status", sizeof(*c->status), &c->status_fd, &err);
	if (!c->status)
		return err;
	/* From here on the client writes and we only read; and nobody adds seals to it. */
	if (mprotect(c->status, REIN_AREA_ALIGN, PROT_READ) < 0 ||
	    fcntl(c->status_fd, F_ADD_SEALS, F_SEAL_SEAL) < 0)
		return -errno;
	return doorbell_new(&c->member.doorbell_fd, &c->ring_fd);
}

struct rein_client *rein_client_new(const struct rein_msg_hello *h, const struct rein_identity *who,
                                    uint32_t id, int *err)
{
	struct rein_client *c = calloc(1, sizeof(*c));
	if (!c) {
		*err = -ENOMEM;
		return NULL;
	}
	c->control_fd = c->status_fd = c->ring_fd = c->rings_fd = c->points_fd = -1;
	c->member.doorbell_fd = c->member.pid_fd = -1;
	c->who = *who;
	rein_printable(c->job, sizeof(c->job), h->job);
	snprintf(c->asked_class, sizeof(c->asked_class), "%s", h->class_name);
	c->asked = rein_wish_of(h);
	c->asked.class_name = c->asked_class;
	c->set.prio = REIN_PRIO_UNSET;
	c->set.latency_nice = REIN_NICE_UNSET;
	c->backlog_cap_ns = UINT64_MAX;
	c->joined_ns = rein_now_ns();
	c->member.arbiter.policy.id = c->member.arbiter.policy.job = id;
	c->member.arbiter.uid = who->uid;
	c->member.arbiter.pid = who->pid;
	name_client(c, h->name);
	*err = make_objects(c);
	if (*err) {
		rein_client_free(c);
		return NULL;
	}
	make_rings(c, h);
	make_points(c, h);
	c->member.arbiter.control = c->control;
	c->member.arbiter.status = c->status;
	return c;
}

void rein_client_free(struct rein_client *c)
{
	int fds[] = {c->control_fd, c->status_fd, c->member.doorbell_fd,
	             c->ring_fd,    c->rings_fd,  c->points_fd};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (c->control)
		munmap(c->control, REIN_AREA_ALIGN);
	if (c->status)
		munmap(c->status, REIN_AREA_ALIGN);
	if (c->points)
		munmap(c->points, REIN_AREA_ALIGN);
	free(c);
}

void rein_client_grant(const struct rein_client *c, const struct rein_config *config,
                       struct rein_grant *g)
{
	struct rein_wish wish = c->asked;
	if (!rein_config_class(config, wish.class_name))
		wish.class_name = ""; /* gone with a reload */
	rein_grant(g, config, &c->who, &wish);
	const struct rein_class *set = rein_config_class(config, c->set.class_name);
	if (set) {
		g->class = set;
		g->prio = set->prio;
		g->weight = set->weight;
		g->latency_nice = set->latency_nice;
		g->timing = set->timing;
		g->sms = set->sms;
	}
	if (c->set.prio != REIN_PRIO_UNSET)
		g->prio = c->set.prio;
	if (c->set.weight)
		g->weight = c->set.weight;
	if (c->set.latency_nice != REIN_NICE_UNSET)
		g->latency_nice = c->set.latency_nice;
	if (c->set.has_timing)
		g->timing = c->set.timing;
	if (c->set.sms)
		g->sms = c->set.sms;
	rein_grant_settle(g, c->asked.prio != REIN_PRIO_UNSET || c->set.prio != REIN_PRIO_UNSET);
}

struct rein_arbiter_params rein_client_params(const struct rein_client *c,
                                              const struct rein_grant *g)
{
	const struct rein_timing *t = &c->reservation.timing;
	uint64_t backlog_ns = g->class->backlog_ns;
	return (struct rein_arbiter_params){
	    .prio = g->prio,
	    .weight = g->weight,
	    .linger_us = g->class->linger_us,
	    .backlog_launches = g->class->backlog_launches,
	    .backlog_ns = backlog_ns < c->backlog_cap_ns ? backlog_ns : c->backlog_cap_ns,
	    .patience_ns = g->class->patience_ns,
	    .gate_implicit = g->class->gate_implicit,
	    .cupti = g->class->cupti,
	    .latency_nice = g->latency_nice,
	    .band = rein_config_band(g->class, t, g->prio),
	    .declared = g->declared,
	    .budget_hard = g->class->budget_hard && t->budget_ns,
	    .deadline_ns = t->deadline_ns,
	    .period_ns = t->period_ns,
	    .budget_ns = t->budget_ns,
	    .sms = g->sms,
	    .job = c->job_id,
	};
}

void rein_client_apply(struct rein_client *c, const struct rein_grant *g)
{
	struct rein_arbiter_params p = rein_client_params(c, g);
	rein_arbiter_apply(&c->member.arbiter, &p);
	snprintf(c->class_name, sizeof(c->class_name), "%s", g->class->name);
}
