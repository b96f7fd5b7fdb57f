// SPDX-License-Identifier: Apache-2.0
/*
 * ours.h: descriptors in somebody else's process. The application may close what it does not know
 * and get the number again for a file of its own; so nothing is written, duplicated or closed
 * without a look at whether the number is still our file. Nor are the numbers of stdin, stdout and
 * stderr taken, which a program may have closed and still use.
 */
#ifndef REIN_OURS_H
#define REIN_OURS_H

#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#define REIN_OURS_FROM 3

struct rein_ours {
	int fd; /* -1: none */
	dev_t dev;
	ino_t ino;
};

static inline struct rein_ours rein_ours_of(int fd)
{
	struct stat st;
	struct rein_ours file = {.fd = -1};
	if (fd >= 0 && fstat(fd, &st) == 0)
		file = (struct rein_ours){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
	return file;
}

static inline bool rein_ours_still(const struct rein_ours *file)
{
	struct rein_ours now = rein_ours_of(file->fd);
	return now.fd >= 0 && now.dev == file->dev && now.ino == file->ino;
}

static inline void rein_ours_close(struct rein_ours *file)
{
	if (rein_ours_still(file))
		close(file->fd);
	file->fd = -1;
}

#endif
