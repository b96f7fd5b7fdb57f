// SPDX-License-Identifier: Apache-2.0
/*
 * cupti_tracer.c: a tracer in somebody else's process, as rein's would be: it subscribes to CUPTI
 * and, only if it may, collects kernel records. cupti_conflict.py loads it into a PyTorch program
 * before and after PyTorch's profiler. The collecting is compiled in, because what is preloaded
 * links no archive; it is C and not Python because CUPTI calls back from threads of its own.
 */
#include "../lib/cupti.c" // NOLINT(bugprone-suspicious-include)

#define PUBLIC __attribute__((visibility("default")))

PUBLIC const char *tracer_start(const char *library);
PUBLIC const char *tracer_stop(void);
PUBLIC long tracer_take(void);
PUBLIC const char *tracer_incumbent(void);

static struct wl_cupti cupti;
static void *subscriber;
static bool collects;
static char incumbent[2 * WL_CUPTI_NAME_BYTES];

static void on_call(void *arg, int domain, uint32_t cbid, const void *data)
{
}

static int subscribe(void)
{
	struct wl_cupti_subscriber_params p = {.size = sizeof(p),
	                                       .name = "rein",
	                                       .incumbent = incumbent,
	                                       .incumbent_size = WL_CUPTI_NAME_BYTES};
	if (cupti.Subscribe_v2)
		return cupti.Subscribe_v2(&subscriber, on_call, NULL, &p);
	return cupti.Subscribe(&subscriber, on_call, NULL);
}

/* "" if it collects now, or one line that says who refused what. */
const char *tracer_start(const char *library)
{
	static char why[256];
	if (!cupti.lib && wl_cupti_open(&cupti, library) != 0)
		return cupti.why;
	int r = subscribe();
	if (r != WL_CUPTI_OK) {
		subscriber = NULL;
		snprintf(why, sizeof(why), "subscribing: %s", wl_cupti_text(&cupti, r));
		return why;
	}
	r = wl_cupti_collect(&cupti);
	if (r == WL_CUPTI_OK)
		r = cupti.ActivityEnable(WL_CUPTI_KERNEL);
	collects = r == WL_CUPTI_OK;
	snprintf(why, sizeof(why), "enabling: %s", wl_cupti_text(&cupti, r));
	return collects ? "" : why;
}

const char *tracer_stop(void)
{
	int r = WL_CUPTI_OK;
	if (collects)
		r = cupti.ActivityDisable(WL_CUPTI_KERNEL);
	collects = false;
	if (subscriber) {
		int u = cupti.Unsubscribe(subscriber);
		r = r == WL_CUPTI_OK ? u : r;
	}
	subscriber = NULL;
	return r == WL_CUPTI_OK ? "" : wl_cupti_text(&cupti, r);
}

/* How many kernel records came since the last call; -1: the flush failed. */
long tracer_take(void)
{
	struct wl_cupti_collected got;
	if (!cupti.lib)
		return -1;
	int r = wl_cupti_take(&cupti, &got);
	free(got.v);
	return r == WL_CUPTI_OK ? (long)got.n : -1;
}

/* Who was there, after a refusal; "" if CUPTI did not say. */
const char *tracer_incumbent(void)
{
	incumbent[WL_CUPTI_NAME_BYTES] = '\0';
	return incumbent;
}
