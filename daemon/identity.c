// SPDX-License-Identifier: Apache-2.0
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../common/wire.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define GROUPS_MAX 1024

void rein_printable(char *to, size_t len, const char *from)
{
	size_t i = 0;
	for (; from[i] && i + 1 < len; i++)
		to[i] = from[i] >= 0x20 && from[i] <= 0x7e ? from[i] : '?';
	to[i] = 0;
}

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

static void list_classes(const struct rein_config *config, char *buf, size_t len)
{
	buf[0] = 0;
	for (const struct rein_class *c = config->classes; c; c = c->hh.next) {
		size_t n = strlen(buf);
		snprintf(buf + n, len - n, "%s%s", n ? ", " : "", c->name);
	}
}

void rein_grant(struct rein_grant *out, const struct rein_config *config,
                const struct rein_identity *who, const char *class_name, int prio)
{
	static const char needs[] = "needs root, the daemon's user, group " REIN_GROUP " or a rule";
	const struct rein_class *base = rein_config_match(config, who->exe, who->uid);
	memset(out, 0, sizeof(*out));
	out->class = base;
	out->prio = base->prio;
	if (prio != REIN_PRIO_UNSET && (prio < 0 || prio > REIN_PRIO_MAX)) {
		out->err = -EINVAL;
		snprintf(out->text, sizeof(out->text),
		         "priority %d does not exist; accepted: 0 to %d, higher is more urgent",
		         prio, REIN_PRIO_MAX);
		return;
	}
	if (class_name[0]) {
		const struct rein_class *asked = rein_config_class(config, class_name);
		if (!asked) {
			char known[100];
			list_classes(config, known, sizeof(known));
			out->err = -EINVAL;
			snprintf(out->text, sizeof(out->text), "unknown class '%.20s'; known: %s",
			         class_name, known);
			return;
		}
		bool more = asked->prio > base->prio || asked->weight > base->weight;
		if (more && !who->privileged)
			snprintf(out->text, sizeof(out->text), "class '%s' %s; granted '%s'",
			         asked->name, needs, base->name);
		else
			out->class = asked;
	}
	out->prio = out->class->prio;
	if (prio == REIN_PRIO_UNSET)
		return;
	int ceiling = base->prio > out->class->prio ? base->prio : out->class->prio;
	if (prio <= ceiling || who->privileged)
		out->prio = prio;
	else
		snprintf(out->text, sizeof(out->text), "priority %d %s; granted %d", prio, needs,
		         out->prio);
}
