// SPDX-License-Identifier: Apache-2.0
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../common/clock.h"
#include "../common/sock.h"

static bool terminated(const char *text, size_t len)
{
	return memchr(text, 0, len) != NULL;
}

int rein_hello_check(const struct rein_msg_hello *h, size_t len, char *why, size_t why_len)
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
	if (m->type != REIN_MSG_HELLO || len != sizeof(*h) || m->size != sizeof(*h))
		return -EBADMSG;
	if (!terminated(h->name, sizeof(h->name)) ||
	    !terminated(h->class_name, sizeof(h->class_name))) {
		snprintf(why, why_len, "a name in the greeting has no end");
		return -EPROTO;
	}
	if (h->flags & ~REIN_HELLO_CHECK) {
		snprintf(why, why_len, "unknown flags %#x in the greeting", h->flags);
		return -EPROTO;
	}
	return 0;
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
	c->control_fd = c->status_fd = c->ring_fd = -1;
	c->member.doorbell_fd = c->member.pid_fd = -1;
	c->who = *who;
	c->asked_prio = h->prio;
	snprintf(c->asked_class, sizeof(c->asked_class), "%s", h->class_name);
	c->set_prio = REIN_PRIO_UNSET;
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
	c->member.arbiter.control = c->control;
	c->member.arbiter.status = c->status;
	return c;
}

void rein_client_free(struct rein_client *c)
{
	int fds[] = {c->control_fd, c->status_fd, c->member.doorbell_fd, c->ring_fd};
	for (unsigned i = 0; i < REIN_ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (c->control)
		munmap(c->control, REIN_AREA_ALIGN);
	if (c->status)
		munmap(c->status, REIN_AREA_ALIGN);
	free(c);
}

void rein_client_grant(const struct rein_client *c, const struct rein_config *config,
                       struct rein_grant *g)
{
	const char *class_name = c->asked_class;
	if (!rein_config_class(config, class_name))
		class_name = ""; /* gone with a reload */
	rein_grant(g, config, &c->who, class_name, c->asked_prio);
	const struct rein_class *set = rein_config_class(config, c->set_class);
	if (set) {
		g->class = set;
		g->prio = set->prio;
	}
	if (c->set_prio != REIN_PRIO_UNSET)
		g->prio = c->set_prio;
}

struct rein_arbiter_params rein_client_params(const struct rein_client *c,
                                              const struct rein_grant *g)
{
	return (struct rein_arbiter_params){
	    .prio = g->prio,
	    .weight = c->set_weight ? c->set_weight : g->class->weight,
	    .linger_us = g->class->linger_us,
	    .backlog_launches = g->class->backlog_launches,
	    .backlog_ns = g->class->backlog_ns,
	    .patience_ns = g->class->patience_ns,
	    .gate_implicit = g->class->gate_implicit,
	};
}

void rein_client_apply(struct rein_client *c, const struct rein_grant *g)
{
	struct rein_arbiter_params p = rein_client_params(c, g);
	struct rein_policy_client *pc = &c->member.arbiter.policy;
	pc->prio = p.prio;
	pc->weight = p.weight;
	pc->linger_us = p.linger_us;
	pc->backlog_launches = p.backlog_launches;
	pc->backlog_ns = p.backlog_ns;
	c->member.arbiter.patience_ns = p.patience_ns;
	c->member.arbiter.gate_implicit = p.gate_implicit;
	snprintf(c->class_name, sizeof(c->class_name), "%s", g->class->name);
}
