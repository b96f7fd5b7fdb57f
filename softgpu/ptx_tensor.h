// SPDX-License-Identifier: Apache-2.0
/*
 * ptx_tensor.h: a tensor map: what the 128 bytes hold that cuTensorMapEncodeTiled() fills and
 * cp.async.bulk.tensor reads. They are opaque to programs, so the layout is our own.
 */
#ifndef SOFTGPU_PTX_TENSOR_H
#define SOFTGPU_PTX_TENSOR_H

#include <stdint.h>

#include "ptx_ir.h"

#define PTX_TENSOR_MAGIC 0x70616d20726f736eull
#define PTX_TENSOR_RANK 5

struct ptx_tensor_map {
	uint64_t magic;
	uint64_t address;                     /* of element 0 */
	uint64_t stride[PTX_TENSOR_RANK - 1]; /* bytes: of dimensions 1 and on */
	uint32_t dim[PTX_TENSOR_RANK];        /* elements; 1 beyond the rank */
	uint16_t box[PTX_TENSOR_RANK];        /* elements that a copy takes */
	uint8_t rank, bytes;                  /* bytes: of an element */
	uint8_t scalar;                       /* enum ptx_scalar */
	uint8_t swizzle; /* how many bits from bit 4 on are crossed with those from bit 7 on */
	uint8_t nans;    /* what is outside reads as a NaN of all ones, else 0 */
};
_Static_assert(sizeof(struct ptx_tensor_map) <= 128, "a CUtensorMap has 128 bytes");

#endif
