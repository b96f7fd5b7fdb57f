// SPDX-License-Identifier: Apache-2.0
/* ptx_lanes_set.inc.h: the tables of the lane functions compiled in this file. */
static const struct ptx_lane_fn fn_rows[] = {INT_ROWS FLOAT_ROWS CVT_ROWS};
static const struct ptx_lane_cmp cmp_rows[] = {CMP_ROWS};

const struct ptx_lane_set LANE_SET = {
    .fns = fn_rows,
    .n_fns = sizeof(fn_rows) / sizeof(fn_rows[0]),
    .cmps = cmp_rows,
    .n_cmps = sizeof(cmp_rows) / sizeof(cmp_rows[0]),
    .blend = {NULL, blend_2, blend_4, blend_8},
    .splat = {NULL, splat_2, splat_4, splat_8},
    .load4 = load4,
    .store4 = store4,
    .addr64 = addr64,
    .addr32 = addr32,
    .reach = reach,
    .split = {SPLIT_TABLE, SPLIT_SIGNED_TABLE},
    .join = JOIN_TABLE,
    .product = product,
    .product_int = product_int,
    .widen_f16 = widen_f16,
    .widen_f32 = widen_f32,
};
