// SPDX-License-Identifier: Apache-2.0
/* external.c: the ids that a thread pushes for what it does next; per thread and kind. */
#include "double.h"

#define DEPTH 64 /* of regions within regions */

struct stack {
	uint32_t n;
	uint64_t id[DEPTH];
};
static __thread struct stack stacks[CUPTI_EXTERNAL_CORRELATION_KIND_SIZE];

static bool is_kind(CUpti_ExternalCorrelationKind kind)
{
	return kind > CUPTI_EXTERNAL_CORRELATION_KIND_INVALID &&
	       kind < CUPTI_EXTERNAL_CORRELATION_KIND_SIZE;
}

CUptiResult cuptiActivityPushExternalCorrelationId(CUpti_ExternalCorrelationKind kind, uint64_t id)
{
	if (!is_kind(kind))
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	struct stack *s = &stacks[kind];
	if (s->n == DEPTH)
		return sg_cupti_result(CUPTI_ERROR_MAX_LIMIT_REACHED);
	s->id[s->n++] = id;
	return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityPopExternalCorrelationId(CUpti_ExternalCorrelationKind kind,
                                                  uint64_t *lastId)
{
	if (!is_kind(kind))
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	struct stack *s = &stacks[kind];
	if (s->n == 0)
		return sg_cupti_result(CUPTI_ERROR_QUEUE_EMPTY);
	s->n--;
	if (lastId)
		*lastId = s->id[s->n];
	return CUPTI_SUCCESS;
}

bool sg_cupti_external(CUpti_ExternalCorrelationKind kind, uint64_t *id)
{
	const struct stack *s = &stacks[kind];
	if (s->n)
		*id = s->id[s->n - 1];
	return s->n;
}
