// SPDX-License-Identifier: Apache-2.0
/* fuzz_metrics.c: what a scraper may send, in any pieces; and where rein.conf may say to listen. A
 * request that is whole stays the same whatever follows it. */
#include <stdlib.h>
#include <string.h>

#include "daemon/metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rein_metrics_request first = {0}, r;
	struct rein_metrics_at at;
	char head[512], why[320];
	size_t whole = 0;
	for (size_t n = 1; n <= len && !whole; n++) {
		/* on the heap: each byte too many is seen */
		char *piece = malloc(n);
		memcpy(piece, data, n);
		if (rein_metrics_request(piece, n, &first))
			whole = n;
		free(piece);
	}
	if (whole) {
		size_t n = rein_metrics_head(&first, whole, head, sizeof(head));
		if (n >= sizeof(head) || strlen(head) != n)
			abort();
		if (!memchr(data, 0, len) && rein_metrics_request((const char *)data, len, &r) &&
		    r.status != first.status)
			abort();
	}
	char *text = strndup((const char *)data, len);
	int err = rein_metrics_at_parse(text, &at, why, sizeof(why));
	if (err && !strstr(why, "accepted:"))
		abort();
	free(text);
	return 0;
}
