// SPDX-License-Identifier: Apache-2.0
/*
 * ipc.h: what a process offers to others: blocks of its device memory and events.
 *
 * Both are listed in a memfd of the process, made when it first offers something and mapped by
 * whoever opens it. A handle (64 bytes, as CUDA has it) says which process, which descriptor of
 * it, and a random number that only the offer knows; it is opened through /proc/PID/fd, so the
 * two processes must see each other there (one user, one PID namespace). There is no file with a
 * name: when the last of them is gone, however it went, nothing is left.
 *
 * A block is a part of the memfd that holds all of a process' device memory (api_arena.c); its
 * importer maps these pages. An event is a small ring of records. Each record has a number, and
 * every process that has the event may make one; a wait is for the record that was the latest when
 * it was made. A record whose process died before it completed counts as complete: what it stood
 * for never will. (On a real GPU such a wait is not specified.)
 *
 * Threads: any; what processes share is changed by atomics only, so a process that is killed at
 * any point blocks nobody.
 */
#ifndef SOFTGPU_IPC_H
#define SOFTGPU_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/atomic.h"
#include "../common/util.h"
#include "model.h"

#define SG_IPC_BLOCKS 4096
#define SG_IPC_EVENTS 2048
#define SG_IPC_RECORDERS 8
#define SG_IPC_RECORDS 1024 /* of one event, unfinished at a time; power of two */

enum sg_ipc_kind { SG_IPC_BLOCK = 1, SG_IPC_EVENT };

struct sg_ipc_handle { /* what CUipcMemHandle and CUipcEventHandle hold */
	uint32_t magic, kind;
	uint32_t pid;
	int32_t fd;    /* of the list, in that process */
	uint64_t born; /* when that process started: numbers are used again */
	uint64_t key;  /* of the list */
	uint64_t id;   /* of the offer */
	uint64_t uuid; /* the first half of its device's */
	uint32_t index, device;
};
_Static_assert(sizeof(struct sg_ipc_handle) <= 64, "CU_IPC_HANDLE_SIZE");

struct sg_ipc_event {   /* shared */
	rein_a64 id;    /* 0: free */
	rein_a64 first; /* the number before its first record: they go on when it is used again */
	rein_a64 recorded; /* number of the latest record */
	rein_a32 bell;     /* futex: bumped when a record completes */
	uint32_t device;
	rein_a64 recorder[SG_IPC_RECORDERS]; /* processes */
	rein_a64 record[SG_IPC_RECORDS];     /* number << 8 | recorder << 1 | complete */
};

struct sg_ipc_list; /* a process' list, mapped */

/* ---- this process' offers. 0 or -errno. `uuid`: of the device. */
REIN_MUST_CHECK int sg_ipc_offer_block(unsigned device, uint64_t uuid, int memory_fd,
                                       uint64_t offset, uint64_t size, uint32_t *index);
REIN_MUST_CHECK int sg_ipc_offer_event(unsigned device, uint64_t uuid, uint32_t *index,
                                       struct sg_ipc_event **event);
void sg_ipc_handle(enum sg_ipc_kind kind, uint32_t index, struct sg_ipc_handle *out);
void sg_ipc_withdraw(enum sg_ipc_kind kind, uint32_t index);

/* ---- those of others */
#define SG_IPC_OWN (-EXDEV) /* the handle is this process' own */
/* -EINVAL: not a handle; -ESRCH: its process or its offer is gone; -EACCES … */
struct sg_ipc_block {
	int fd; /* of the memory; the caller closes it */
	uint64_t offset, size;
};
REIN_MUST_CHECK int sg_ipc_open_block(const struct sg_ipc_handle *h, struct sg_ipc_block *out);
/* The list stays mapped until sg_ipc_close_event(). */
REIN_MUST_CHECK int sg_ipc_open_event(const struct sg_ipc_handle *h, struct sg_ipc_list **list,
                                      struct sg_ipc_event **event);
void sg_ipc_close_event(struct sg_ipc_list *list);

/* ---- records of an event; `id`: what it had when it was opened */
struct sg_ipc_wait {
	struct sg_ipc_event *event;
	uint64_t id, number; /* number 0: nothing to wait for */
	uint64_t looked_ns;  /* when its recorder was last seen alive */
};
/* A new record, unfinished; its number. SG_IPC_GONE: the event is, or too many processes use it;
 * SG_IPC_FULL: too many records are unfinished, to be tried again when the bell rings. */
#define SG_IPC_GONE 0
#define SG_IPC_FULL UINT64_MAX
uint64_t sg_ipc_record(struct sg_ipc_event *e, uint64_t id);
void sg_ipc_record_complete(struct sg_ipc_event *e, uint64_t id, uint64_t number);
struct sg_ipc_wait sg_ipc_wait_latest(struct sg_ipc_event *e, uint64_t id);
bool sg_ipc_wait_done(struct sg_ipc_wait *w);

/* A memfd of ours that another process may have made: is it one, and what does its name say after
 * "softgpu-WHAT-"? */
bool sg_ipc_is_memory(int fd, const char *what, unsigned *number);
uint64_t sg_ipc_random(void);

#endif
