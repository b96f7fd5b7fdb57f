// SPDX-License-Identifier: Apache-2.0
/*
 * sock.h: Unix-socket and sealed-memory helpers that both sides share. All return a descriptor
 * or 0 on success and -errno on failure; all descriptors are close-on-exec.
 */
#ifndef REIN_COMMON_SOCK_H
#define REIN_COMMON_SOCK_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/un.h>

#include "util.h"

/* Writes the run directory (wire.h) into buf. -ENAMETOOLONG if it does not fit, -EPERM if the one
 * in /tmp is there and is not only ours. */
REIN_MUST_CHECK int rein_run_dir(char *buf, size_t len);
/* What that error means and what to do, for one line. */
const char *rein_run_dir_why(int err);

/* The socket address of `file` in the run directory `dir`. -ENAMETOOLONG. */
REIN_MUST_CHECK int rein_sock_addr(struct sockaddr_un *addr, const char *dir, const char *file);

/* A connected SOCK_SEQPACKET descriptor; never blocks in connect (a full backlog: -EAGAIN). */
REIN_MUST_CHECK int rein_sock_connect(const char *dir, const char *file);

/* A bound, listening, non-blocking socket with `mode` on its path. -EADDRINUSE if a living
 * process listens there; a dead one's leftover is replaced. */
REIN_MUST_CHECK int rein_sock_listen(const char *dir, const char *file, mode_t mode, int backlog);

/* One packet with up to REIN_SOCK_FDS descriptors. Sends without SIGPIPE. */
#define REIN_SOCK_FDS 8
REIN_MUST_CHECK int rein_sock_send(int fd, const void *buf, size_t len, const int *fds,
                                   unsigned n_fds);

/* Receives one packet: bytes received (0 = hang-up), or -errno (-EMSGSIZE: truncated). Passed
 * descriptors go to fds[0…*n_fds); surplus ones are closed. On entry *n_fds is the room.
 * timeout_ms: -1 = wait for ever, 0 = do not wait; -ETIMEDOUT. */
REIN_MUST_CHECK ssize_t rein_sock_recv(int fd, void *buf, size_t len, int *fds, unsigned *n_fds,
                                       int timeout_ms);

/* A memfd of `size` bytes, sealed against shrinking and growing. Map it writable yourself, then
 * rein_memfd_freeze() lets nobody else map it writable. */
REIN_MUST_CHECK int rein_memfd_new(const char *name, size_t size);
REIN_MUST_CHECK int rein_memfd_freeze(int fd);

#endif
