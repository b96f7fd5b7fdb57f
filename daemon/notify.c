// SPDX-License-Identifier: Apache-2.0
#include "notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../common/clock.h"
#include "../common/env.h"
#include "../common/util.h"
#include "supervise.h"

void rein_notify(const char *state)
{
	const char *path = rein_env(REIN_ENV_NOTIFY_SOCKET);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t n = path ? strlen(path) : 0;
	if (n < 2 || n >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, path, n);
	if (addr.sun_path[0] == '@') /* the abstract namespace */
		addr.sun_path[0] = 0;
	REIN_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (fd >= 0 &&
	    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&addr, len) < 0)
		return; /* the supervisor's time-out will tell */
}

uint64_t rein_notify_watchdog_ns(void)
{
	const char *usec = rein_env(REIN_ENV_WATCHDOG_USEC);
	const char *pid = rein_env(REIN_ENV_WATCHDOG_PID);
	if (!usec || !rein_env(REIN_ENV_NOTIFY_SOCKET) ||
	    (pid && atol(pid) != (long)rein_supervise_pid()))
		return 0;
	return strtoull(usec, NULL, 10) * REIN_US / 2;
}
