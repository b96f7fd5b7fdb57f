// SPDX-License-Identifier: Apache-2.0
/*
 * subscribe.c: the one subscriber of a process, and its callbacks at the enter and exit of the
 * calls in ../trace.h. Of the domains only the driver API's exists.
 *
 * A subscriber is never freed, so that a callback under way may finish; there are few.
 */
#include "double.h"

#include <pthread.h>
#include <string.h>

#define NAME_BYTES (sizeof("CUPTI for ") + CUPTI_SUBSCRIBER_NAME_MAX_LEN)

struct CUpti_Subscriber_st {
	CUpti_CallbackFunc fn;
	void *arg;
	char name[NAME_BYTES];
	rein_a32 on[SG_CALLS];
	struct CUpti_Subscriber_st *before;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct CUpti_Subscriber_st *) current;
static struct CUpti_Subscriber_st *all; /* so that they are not lost */

enum { MARK_CALLBACK = 1 << 0 }; /* of a call: its enter was called back */

/* ---- subscribing */

/* The name as CUPTI gives it back. A parameter block of an older CUPTI may be shorter. */
static CUptiResult incumbent(const CUpti_SubscriberParams *p)
{
	struct CUpti_Subscriber_st *s = rein_load_acquire(&current);
	if (p && p->oldSubscriberName && p->oldSubscriberSize)
		snprintf(p->oldSubscriberName, p->oldSubscriberSize, "%s", s->name);
	return CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
}

static CUptiResult subscribe(CUpti_SubscriberHandle *out, CUpti_CallbackFunc fn, void *arg,
                             const CUpti_SubscriberParams *p)
{
	if (!out || (p && p->structSize < CUpti_SubscriberParams_STRUCT_SIZE))
		return CUPTI_ERROR_INVALID_PARAMETER;
	if (!sg_cupti_driver())
		return CUPTI_ERROR_NOT_INITIALIZED;
	pthread_mutex_lock(&lock);
	CUptiResult r = CUPTI_SUCCESS;
	struct CUpti_Subscriber_st *s = NULL;
	if (rein_load_acquire(&current))
		r = incumbent(p);
	else if (!(s = calloc(1, sizeof(*s))))
		r = CUPTI_ERROR_OUT_OF_MEMORY;
	if (s) {
		s->fn = fn;
		s->arg = arg;
		snprintf(s->name, sizeof(s->name), "CUPTI for %s",
		         p && p->subscriberName ? p->subscriberName : "an unnamed subscriber");
		s->before = all;
		all = s;
		rein_store_release(&current, s);
		*out = s;
	}
	pthread_mutex_unlock(&lock);
	return r;
}

CUptiResult cuptiSubscribe(CUpti_SubscriberHandle *subscriber, CUpti_CallbackFunc callback,
                           void *userdata)
{
	return sg_cupti_result(subscribe(subscriber, callback, userdata, NULL));
}

CUptiResult cuptiSubscribe_v2(CUpti_SubscriberHandle *subscriber, CUpti_CallbackFunc callback,
                              void *userdata, CUpti_SubscriberParams *pParams)
{
	return sg_cupti_result(subscribe(subscriber, callback, userdata, pParams));
}

CUptiResult cuptiUnsubscribe(CUpti_SubscriberHandle subscriber)
{
	struct CUpti_Subscriber_st *expected = subscriber;
	if (!subscriber || !rein_cas(&current, &expected, NULL))
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	sg_cupti_listen();
	return CUPTI_SUCCESS;
}

void sg_cupti_unsubscribe_all(void)
{
	rein_store_release(&current, NULL);
}

void sg_cupti_subscribe_forget(void)
{
	pthread_mutex_init(&lock, NULL);
	rein_store_release(&current, NULL);
}

/* ---- enabling */

static bool is_current(CUpti_SubscriberHandle s)
{
	return s && s == rein_load_acquire(&current);
}

/* One line for what is asked for and will not come. */
static CUptiResult unavailable(CUpti_CallbackDomain domain, CUpti_CallbackId cbid)
{
	if (domain == CUPTI_CB_DOMAIN_DRIVER_API)
		sg_cupti_say("no callbacks for driver call %u: the software GPU has them for "
		             "launches, copies, sets and synchronisation",
		             cbid);
	else
		sg_cupti_say("no callbacks in domain %d: the software GPU has the driver API's",
		             (int)domain);
	return CUPTI_ERROR_NOT_SUPPORTED;
}

/* Copies of arrays and batches of copies: nobody who asks for all that submits misses anything. */
static bool is_untold_copy(CUpti_CallbackDomain domain, CUpti_CallbackId cbid)
{
	static const CUpti_CallbackId ranges[][2] = {{282, 286}, {292, 293}, {400, 404}, {419, 420},
	                                             {480, 480}, {776, 779}, {796, 799}};
	for (size_t i = 0; domain == CUPTI_CB_DOMAIN_DRIVER_API && i < REIN_ARRAY_LEN(ranges); i++)
		if (cbid >= ranges[i][0] && cbid <= ranges[i][1])
			return true;
	return false;
}

CUptiResult cuptiEnableCallback(uint32_t enable, CUpti_SubscriberHandle subscriber,
                                CUpti_CallbackDomain domain, CUpti_CallbackId cbid)
{
	if (!is_current(subscriber) || domain <= CUPTI_CB_DOMAIN_INVALID ||
	    domain >= CUPTI_CB_DOMAIN_SIZE || cbid == 0)
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	int id = domain == CUPTI_CB_DOMAIN_DRIVER_API ? sg_cupti_call_of(cbid) : -1;
	if (id < 0 && is_untold_copy(domain, cbid))
		return CUPTI_SUCCESS;
	if (id < 0)
		return enable ? sg_cupti_result(unavailable(domain, cbid)) : CUPTI_SUCCESS;
	rein_store_release(&subscriber->on[id], enable != 0);
	sg_cupti_listen();
	return CUPTI_SUCCESS;
}

static void enable_all(CUpti_SubscriberHandle s, bool on)
{
	for (int i = 0; i < SG_CALLS; i++)
		rein_store_release(&s->on[i], on);
	sg_cupti_listen();
}

CUptiResult cuptiEnableDomain(uint32_t enable, CUpti_SubscriberHandle subscriber,
                              CUpti_CallbackDomain domain)
{
	if (!is_current(subscriber) || domain <= CUPTI_CB_DOMAIN_INVALID ||
	    domain >= CUPTI_CB_DOMAIN_SIZE)
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	if (domain != CUPTI_CB_DOMAIN_DRIVER_API)
		return enable ? sg_cupti_result(unavailable(domain, 0)) : CUPTI_SUCCESS;
	enable_all(subscriber, enable);
	return CUPTI_SUCCESS;
}

/* All that there are: the domains that cuptiSupportedDomains() lists. */
CUptiResult cuptiEnableAllDomains(uint32_t enable, CUpti_SubscriberHandle subscriber)
{
	if (!is_current(subscriber))
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	enable_all(subscriber, enable);
	return CUPTI_SUCCESS;
}

CUptiResult cuptiSupportedDomains(size_t *domainCount, CUpti_DomainTable *domainTable)
{
	static CUpti_CallbackDomain domains[] = {CUPTI_CB_DOMAIN_DRIVER_API};
	if (!domainCount || !domainTable)
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	*domainCount = REIN_ARRAY_LEN(domains);
	*domainTable = domains;
	return CUPTI_SUCCESS;
}

CUptiResult cuptiGetCallbackState(uint32_t *enable, CUpti_SubscriberHandle subscriber,
                                  CUpti_CallbackDomain domain, CUpti_CallbackId cbid)
{
	if (!enable || !is_current(subscriber) || domain <= CUPTI_CB_DOMAIN_INVALID ||
	    domain >= CUPTI_CB_DOMAIN_SIZE)
		return sg_cupti_result(CUPTI_ERROR_INVALID_PARAMETER);
	int id = domain == CUPTI_CB_DOMAIN_DRIVER_API ? sg_cupti_call_of(cbid) : -1;
	*enable = id >= 0 && rein_load_acquire(&subscriber->on[id]);
	return CUPTI_SUCCESS;
}

/* ---- calling back */

bool sg_cupti_called_back(void)
{
	struct CUpti_Subscriber_st *s = rein_load_acquire(&current);
	for (int i = 0; s && s->fn && i < SG_CALLS; i++)
		if (rein_load_acquire(&s->on[i]))
			return true;
	return false;
}

/* An exit is told if its enter was and the subscriber is still there. */
void sg_cupti_callback(struct sg_trace_call *c)
{
	struct CUpti_Subscriber_st *s = rein_load_acquire(&current);
	bool wanted = c->exit ? c->marks & MARK_CALLBACK : s && rein_load_acquire(&s->on[c->id]);
	if (!s || !s->fn || !wanted)
		return;
	c->marks |= MARK_CALLBACK;
	const struct sg_trace_driver *d = sg_cupti_driver();
	CUfunction f = sg_cupti_launched(c);
	const char *symbol = f && d ? d->kernel_name(f) : NULL;
	CUpti_CallbackData data = {
	    .callbackSite = c->exit ? CUPTI_API_EXIT : CUPTI_API_ENTER,
	    .functionName = sg_cupti_calls[c->id].name,
	    .functionParams = c->params,
	    .functionReturnValue = c->exit ? &c->result : NULL,
	    .symbolName = symbol ? sg_cupti_intern(symbol) : NULL,
	    .context = c->ctx,
	    .contextUid = c->context,
	    .correlationData = &c->data,
	    .correlationId = c->correlation,
	};
	s->fn(s->arg, CUPTI_CB_DOMAIN_DRIVER_API, sg_cupti_calls[c->id].cbid, &data);
}
