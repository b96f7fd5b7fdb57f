// SPDX-License-Identifier: Apache-2.0
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../common/wire.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define GROUPS_MAX 1024

gid_t rein_identity_group(void)
{
	const struct group *g = getgrnam(REIN_GROUP);
	return g ? g->gr_gid : (gid_t)-1;
}

static bool in_group(int sock, const struct ucred *cred)
{
	gid_t wanted = rein_identity_group(), groups[GROUPS_MAX];
	if (wanted == (gid_t)-1)
		return false;
	if (cred->gid == wanted)
		return true;
	socklen_t len = sizeof(groups);
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(gid_t); i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

static int open_pidfd(int sock, pid_t pid)
{
	int fd;
	socklen_t len = sizeof(fd);
	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &len) == 0)
		return fd;
	if (errno != ENOPROTOOPT) /* a kernel that knows the option: the process is gone */
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return errno == ESRCH ? -ESRCH : -1;
	return fd;
}

static void read_exe(struct rein_identity *who)
{
	char path[64], exe[sizeof(who->exe)];
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)who->pid);
	ssize_t n = readlink(path, exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = 0;
	char *deleted = strstr(exe, " (deleted)");
	if (deleted && !deleted[strlen(" (deleted)")])
		*deleted = 0;
	rein_printable(who->exe, sizeof(who->exe), exe);
}

static void read_comm(struct rein_identity *who)
{
	char path[64], comm[sizeof(who->comm)];
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)who->pid);
	REIN_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, comm, sizeof(comm) - 1);
	comm[n > 0 ? n : 0] = 0;
	comm[strcspn(comm, "\n")] = 0;
	rein_printable(who->comm, sizeof(who->comm), comm);
}

int rein_identity_get(struct rein_identity *who, int sock, int *pidfd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	memset(who, 0, sizeof(*who));
	*pidfd = -1;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	who->pid = cred.pid;
	who->uid = cred.uid;
	who->privileged = cred.uid == 0 || cred.uid == geteuid() || in_group(sock, &cred);
	if (cred.pid <= 0)
		return 0; /* from a PID namespace that we do not see: its hang-up must do */
	REIN_AUTO_CLOSE int fd = open_pidfd(sock, cred.pid);
	if (fd == -ESRCH)
		return -ESRCH;
	read_exe(who);
	read_comm(who);
	/* Still alive now: then the number was not used again while we read. */
	struct pollfd p = {.fd = fd, .events = POLLIN};
	if (fd >= 0 && poll(&p, 1, 0) != 0)
		return -ESRCH;
	*pidfd = rein_take_fd(&fd);
	return 0;
}

/* ---------------------------------------------------------------- what it is entitled to */

void rein_identity_classes(const struct rein_config *config, char *buf, size_t len)
{
	buf[0] = 0;
	for (const struct rein_class *c = config->classes; c; c = c->hh.next) {
		size_t n = strlen(buf);
		snprintf(buf + n, len - n, "%s%s", n ? ", " : "", c->name);
	}
}

/* Why less was granted: the first reason is enough. */
REIN_PRINTF(2, 3) static void note(struct rein_grant *out, const char *fmt, ...)
{
	va_list ap;
	if (out->text[0])
		return;
	va_start(ap, fmt);
	vsnprintf(out->text, sizeof(out->text), fmt, ap);
	va_end(ap);
}

static bool reserves_more(const struct rein_timing *t, const struct rein_timing *than)
{
	if (!rein_timing_any(t) || !rein_timing_any(than))
		return rein_timing_any(t);
	return rein_timing_due(t) < rein_timing_due(than) || t->period_ns < than->period_ns ||
	       t->budget_ns > than->budget_ns;
}

static bool class_is_more(const struct rein_class *class, const struct rein_class *than)
{
	return class->prio > than->prio || class->weight > than->weight ||
	       class->latency_nice < than->latency_nice || (than->sms && class->sms != than->sms) ||
	       reserves_more(&class->timing, &than->timing) ||
	       rein_config_band(class, &class->timing, class->prio) <
	           rein_config_band(than, &than->timing, than->prio);
}

static const char needs[] = "needs root, the daemon's user, group " REIN_GROUP " or a rule";

static void grant_class(struct rein_grant *out, const struct rein_config *config,
                        const struct rein_identity *who, const char *class_name,
                        const struct rein_class *base)
{
	const struct rein_class *asked = rein_config_class(config, class_name);
	if (!asked) {
		char known[100];
		rein_identity_classes(config, known, sizeof(known));
		out->err = -EINVAL;
		note(out, "unknown class '%.20s'; known: %s", class_name, known);
		return;
	}
	if (class_is_more(asked, base) && !who->privileged)
		note(out, "class '%s' %s; granted '%s'", asked->name, needs, base->name);
	else
		out->class = asked;
}

/* What was asked for beside the class. */
static void grant_wishes(struct rein_grant *out, const struct rein_identity *who,
                         const struct rein_wish *w, const struct rein_class *base)
{
	const struct rein_class *class = out->class;
	bool any = who->privileged;
	if (w->prio != REIN_PRIO_UNSET) {
		if (any || w->prio <= class->prio || w->prio <= base->prio)
			out->prio = w->prio;
		else
			note(out, "priority %d %s; granted %d", w->prio, needs, out->prio);
	}
	if (w->weight) {
		if (any || w->weight <= class->weight || w->weight <= base->weight)
			out->weight = w->weight;
		else
			note(out, "weight %u %s; granted %u", w->weight, needs, out->weight);
	}
	if (w->latency_nice != REIN_NICE_UNSET) {
		if (any || w->latency_nice >= class->latency_nice ||
		    w->latency_nice >= base->latency_nice)
			out->latency_nice = w->latency_nice;
		else
			note(out, "latency_nice %d %s; granted %d", w->latency_nice, needs,
			     out->latency_nice);
	}
	if (w->sms) {
		if (any || !class->sms || !base->sms)
			out->sms = w->sms;
		else
			note(out, "another slice than the class' %s", needs);
	}
	if (rein_timing_any(&w->timing)) {
		if (any || !reserves_more(&w->timing, &class->timing) ||
		    !reserves_more(&w->timing, &base->timing))
			out->timing = w->timing;
		else
			note(out, "a reservation %s; granted %s", needs,
			     rein_timing_any(&class->timing) ? "the class'" : "none");
	}
}

void rein_grant(struct rein_grant *out, const struct rein_config *config,
                const struct rein_identity *who, const struct rein_wish *wish)
{
	const struct rein_class *base = rein_config_match(config, who->exe, who->uid);
	memset(out, 0, sizeof(*out));
	out->class = base;
	if (wish->prio != REIN_PRIO_UNSET && (wish->prio < 0 || wish->prio > REIN_PRIO_MAX)) {
		out->err = -EINVAL;
		out->prio = base->prio;
		note(out, "priority %d does not exist; accepted: 0 to %d, higher is more urgent",
		     wish->prio, REIN_PRIO_MAX);
		return;
	}
	if (wish->class_name[0])
		grant_class(out, config, who, wish->class_name, base);
	out->prio = out->class->prio;
	out->weight = out->class->weight;
	out->latency_nice = out->class->latency_nice;
	out->timing = out->class->timing;
	out->sms = out->class->sms;
	if (out->err)
		return;
	grant_wishes(out, who, wish, base);
	rein_grant_settle(out, wish->prio != REIN_PRIO_UNSET);
}

void rein_grant_settle(struct rein_grant *g, bool has_prio)
{
	g->band = rein_config_band(g->class, &g->timing, g->prio);
	g->declared = has_prio || g->prio > 0 || rein_timing_any(&g->timing) ||
	              strcmp(g->class->name, REIN_CLASS_DEFAULT) != 0;
}
