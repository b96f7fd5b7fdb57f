// SPDX-License-Identifier: Apache-2.0
#include "duration.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "clock.h"

/* n units, and what the digits behind the point say of one more; as far as whole ns. */
static int in_ns(uint64_t n, const char *digits, uint64_t unit_ns, uint64_t *out_ns)
{
	uint64_t fraction_ns = 0, place_ns = unit_ns;
	for (; isdigit((unsigned char)*digits); digits++) {
		if (*digits != '0' && place_ns < 10)
			return -EINVAL;
		place_ns /= 10;
		fraction_ns += place_ns * (uint64_t)(*digits - '0');
	}
	if (__builtin_mul_overflow(n, unit_ns, &n) || __builtin_add_overflow(n, fraction_ns, &n))
		return -EINVAL;
	*out_ns = n;
	return 0;
}

int rein_duration_parse(const char *text, uint64_t *out_ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {{"ns", 1}, {"us", REIN_US}, {"ms", REIN_MS}, {"s", REIN_S}};
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	char *end;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	const char *digits = "";
	if (*end == '.' && isdigit((unsigned char)end[1])) {
		digits = ++end;
		end += strspn(end, "0123456789");
	}
	while (*end == ' ')
		end++;
	if (n == 0 && !*digits && !*end) {
		*out_ns = 0;
		return 0;
	}
	for (unsigned i = 0; i < REIN_ARRAY_LEN(units); i++)
		if (strcmp(end, units[i].unit) == 0)
			return in_ns(n, digits, units[i].ns, out_ns);
	return -EINVAL;
}
