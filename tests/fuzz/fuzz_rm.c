// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_rm.c: any sequence of a driver's ioctls to what learns channel groups from them: 60 bytes
 * each, of which the first five are the ioctl's number, its size, what the kernel said, and how
 * many bytes of parameters follow a pointer; the rest is its argument. Nothing outside is read, and
 * the table keeps its limits.
 */
#include <linux/ioctl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "interpose/rmtable.h"

#define CALL 60
#define HEAD 5
#define ARGUMENT (CALL - HEAD)

static const uint8_t numbers[] = {REIN_RM_ESC_ALLOC, REIN_RM_ESC_FREE, REIN_RM_ESC_CONTROL,
                                  REIN_RM_ESC_XFER};
static const uint8_t sizes[] = {16, 32, 48, 24};

/* Few handles, so that objects find their parents and are used again. */
static void narrow(unsigned char *arg)
{
	static const uint32_t classes[] = {0x41,   0x80,   0x2080, 0xa06c,
	                                   0xc86f, 0xcbc0, 0x40,   0xa06c0101};
	for (unsigned i = 0; i < 3; i++) {
		uint32_t v = arg[4 * i] % 16;
		memcpy(arg + 4 * i, &v, sizeof(v));
	}
	uint32_t v = classes[arg[12] % 8];
	memcpy(arg + 12, &v, sizeof(v));
}

static void one(struct rein_rm_table *t, const uint8_t *in)
{
	unsigned size = in[0] & 0x80 ? in[1] : sizes[in[1] % 4];
	unsigned long request =
	    _IOC(_IOC_READ | _IOC_WRITE, REIN_RM_IOC_TYPE, numbers[in[0] % 4], size);
	/* older callers give no size: the resource manager then takes its own, of a group 20 */
	uint32_t bytes = in[4], there = bytes ? bytes : 20;
	unsigned char *arg = malloc(size ? size : 1), *params = malloc(there);
	uint64_t at = in[3] & 1 ? (uintptr_t)params : 0;
	unsigned char whole[256] = {0};
	if (!arg || !params)
		abort();
	memcpy(whole, in + HEAD, ARGUMENT);
	narrow(whole);
	memset(params, in[HEAD], there);
	memcpy(whole + 16, &at, sizeof(at));
	memcpy(whole + (size == 48 ? 32 : 24), &bytes, sizeof(bytes));
	if (numbers[in[0] % 4] ==
	    REIN_RM_ESC_XFER) { /* of what a pointer leads to, the size is right */
		uint32_t inner[2] = {numbers[in[2] % 3], 0};
		uint64_t none = 0;
		memcpy(whole, inner, sizeof(inner));
		memcpy(whole + 8, &none, sizeof(none));
	}
	memcpy(arg, whole, size);
	struct rein_rm_call call = rein_rm_call_of(request, arg);
	int result = in[2] & 0x40 ? -1 : 0;
	bool frees = rein_rm_frees(t, &call);
	if (frees)
		rein_rm_forget(t, &call);
	if (frees || (result == 0 && rein_rm_matters(&call)))
		(void)rein_rm_learn(t, &call, 5, result, frees);
	free(arg);
	free(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct rein_rm_table t;
	static struct rein_rm_group g[REIN_RM_GROUPS];
	memset(&t, 0, sizeof(t));
	for (; len >= CALL; data += CALL, len -= CALL) {
		one(&t, data);
		unsigned n = rein_rm_groups(&t, g);
		if (n > REIN_RM_GROUPS || t.objects > REIN_RM_OBJECTS || (t.spoiled && n))
			abort();
		for (unsigned i = 0; i < n; i++)
			if (g[i].channels > REIN_RM_DISABLE_MAX || !rein_rm_still(&t, &g[i]))
				abort();
	}
	return 0;
}
