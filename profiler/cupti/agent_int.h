// SPDX-License-Identifier: Apache-2.0
/* agent_int.h: what the files of librein-cupti.so share with each other only. */
#ifndef REIN_CUPTI_AGENT_INT_H
#define REIN_CUPTI_AGENT_INT_H

#include <stdbool.h>

#include "agent.h"
#include "cupti_abi.h"

extern struct cupti_functions rein_cupti; /* filled by the first _start() */
extern const struct rein_agent_host *rein_cupti_host;

/* correlate.c: tickets by correlation ID. _note: any thread, no lock, no wait; the ticket replaces
 * that of 65,536 driver calls ago. _find: where 0 if there is none (any more). */
void rein_correlate_note(uint32_t correlation, const struct rein_agent_ticket *t);
struct rein_agent_ticket rein_correlate_find(uint32_t correlation);

/* buffers.c: what CUPTI calls for room and when a buffer is full: on its threads or the program's;
 * no lock, memory only while there are fewer buffers than ever before were needed at a time. */
void rein_buffers_request(uint8_t **buffer, size_t *size, size_t *records_max);
void rein_buffers_complete(void *context, uint32_t stream, uint8_t *buffer, size_t size,
                           size_t valid);
/* Hands on what has come, and gives the buffers free again: how many activities there were.
 * Nothing begins before `since_ns`; `*skip` of the first records are left out. */
size_t rein_buffers_read(uint64_t since_ns, unsigned *skip);

#endif
