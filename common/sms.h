// SPDX-License-Identifier: Apache-2.0
/*
 * sms.h: how many of a GPU's SMs a program is to have (docs/slices.md), as people write it and as
 * rein.conf, the greeting and the arbiter keep it: one number, 0 where nothing was said.
 *
 *	32            so many           25%     a part of the device's
 *	75% shared    only while a more urgent program is active on the device
 *	75% long      while a more urgent program is registered, if its kernels are too long for the
 *	              gates that the device has
 *	all           no slice
 */
#ifndef REIN_COMMON_SMS_H
#define REIN_COMMON_SMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h"
#include "util.h"

/* REIN_SMS_COUNT and REIN_SMS_PERMILLE as in the verdict, and: */
#define REIN_SMS_SHARED 0x20000000u
#define REIN_SMS_ALL 0x10000000u
#define REIN_SMS_LONG 0x08000000u
#define REIN_SMS_TEXT_LEN 24
#define REIN_SMS_ACCEPTED "all, 1 to 65535, 1% to 100%, each with ' shared' or ' long' if wanted"

/* 0, or -EINVAL. */
REIN_MUST_CHECK int rein_sms_parse(const char *text, uint32_t *out);
/* "" for 0. Returns buf. */
char *rein_sms_text(char buf[REIN_SMS_TEXT_LEN], uint32_t sms);
/* Whether a peer may say that. */
bool rein_sms_ok(uint32_t sms);

#endif
