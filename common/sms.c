// SPDX-License-Identifier: Apache-2.0
#include "sms.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int rein_sms_parse(const char *text, uint32_t *out)
{
	char *end = (char *)text;
	uint32_t sms = REIN_SMS_ALL;
	if (strncmp(text, "all", 3) == 0) {
		end += 3;
	} else {
		errno = 0;
		unsigned long n = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
		if (errno || n < 1 || n > (*end == '%' ? 100 : REIN_SMS_COUNT))
			return -EINVAL;
		sms = (uint32_t)n;
		if (*end == '%')
			sms = n == 100 ? REIN_SMS_ALL : (uint32_t)n * 10 | REIN_SMS_PERMILLE;
		end += *end == '%';
	}
	if (strcmp(end, " shared") == 0)
		sms |= REIN_SMS_SHARED;
	else if (strcmp(end, " long") == 0)
		sms |= REIN_SMS_LONG;
	else if (*end)
		return -EINVAL;
	*out = sms;
	return 0;
}

char *rein_sms_text(char buf[REIN_SMS_TEXT_LEN], uint32_t sms)
{
	const char *when = sms & REIN_SMS_SHARED ? " shared" : sms & REIN_SMS_LONG ? " long" : "";
	unsigned n = sms & REIN_SMS_COUNT;
	if (sms & REIN_SMS_ALL)
		snprintf(buf, REIN_SMS_TEXT_LEN, "all");
	else if (sms & REIN_SMS_PERMILLE)
		snprintf(buf, REIN_SMS_TEXT_LEN, "%u%%%s", n / 10, when);
	else if (n)
		snprintf(buf, REIN_SMS_TEXT_LEN, "%u%s", n, when);
	else
		buf[0] = 0;
	return buf;
}

bool rein_sms_ok(uint32_t sms)
{
	uint32_t n = sms & REIN_SMS_COUNT;
	uint32_t when = sms & (REIN_SMS_SHARED | REIN_SMS_LONG);
	if (sms & ~(REIN_SMS_COUNT | REIN_SMS_PERMILLE | REIN_SMS_ALL | when))
		return false;
	if (when == (REIN_SMS_SHARED | REIN_SMS_LONG))
		return false;
	return !(sms & REIN_SMS_PERMILLE) || (n >= 1 && n <= 1000);
}
