// SPDX-License-Identifier: Apache-2.0
/*
 * fake_rm.c: stands in for rm_spy.so, for programs on the software GPU: a process that owns one
 * channel group with two channels, and a resource manager that accepts every control and does
 * nothing. It appends "PID COMMAND FIRST-BYTE" to FAKE_RM_LOG for each; FAKE_RM_REFUSE=COMMAND
 * (hexadecimal) refuses that one; FAKE_RM_HANG=COMMAND never comes back from it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../workloads/gpu/lib/rm.h"

#define EXPORT __attribute__((visibility("default")))
#define CLIENT 0xc1d00001u
#define REFUSED 0x56

EXPORT wl_rm_spy_snapshot_fn wl_rm_spy_snapshot;
EXPORT wl_rm_spy_ioctl_fn wl_rm_spy_ioctl;

void wl_rm_spy_snapshot(struct wl_rm_table *out)
{
	static int fd = -1;
	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const struct wl_rm_object objects[] = {
	    {.client = CLIENT, .handle = CLIENT, .class_id = 0x41},
	    {.client = CLIENT, .handle = 2, .parent = CLIENT, .class_id = REIN_RM_CLASS_DEVICE},
	    {.client = CLIENT, .handle = 3, .parent = 2, .class_id = REIN_RM_CLASS_SUBDEVICE},
	    {.client = CLIENT,
	     .handle = 4,
	     .parent = 2,
	     .class_id = REIN_RM_CLASS_GROUP,
	     .engine = 1},
	    {.client = CLIENT, .handle = 5, .parent = 4, .class_id = 0xc86f, .flags_known = true},
	    {.client = CLIENT, .handle = 6, .parent = 4, .class_id = 0xc86f, .flags_known = true},
	    {.client = CLIENT, .handle = 7, .parent = 5, .class_id = 0xcbc0},
	};
	memset(out, 0, sizeof(*out));
	out->objects = sizeof(objects) / sizeof(objects[0]);
	for (uint32_t i = 0; i < out->objects; i++) {
		out->object[i] = objects[i];
		out->object[i].fd = fd;
	}
	out->calls = out->allocs = out->objects;
}

static uint32_t setting(const char *name)
{
	const char *text = getenv(name);
	return text ? (uint32_t)strtoul(text, NULL, 16) : 0;
}

int wl_rm_spy_ioctl(int fd, unsigned long request, void *arg)
{
	struct rein_rm_nvos54 *c = arg;
	const char *path = getenv("FAKE_RM_LOG");
	char line[64];
	(void)request;
	if (fd < 0)
		return -1;
	const unsigned char *params = (const unsigned char *)(uintptr_t)c->params;
	int n = snprintf(line, sizeof(line), "%d %08x %u\n", (int)getpid(), c->cmd, params[0]);
	int log = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
	if (log >= 0) {
		if (write(log, line, (size_t)n) != n)
			abort();
		close(log);
	}
	while (c->cmd == setting("FAKE_RM_HANG"))
		pause();
	c->status = c->cmd == setting("FAKE_RM_REFUSE") ? REFUSED : 0;
	return 0;
}
