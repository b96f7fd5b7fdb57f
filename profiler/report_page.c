// SPDX-License-Identifier: Apache-2.0
/* The page goes into the program as it stands in report.html, so that it can be edited and looked
 * at as a page. The path is as seen from the top of the tree, where everything is compiled. */
#include <string.h>

#include "report_int.h"

#define MARK "@DATA@"

__asm__(".pushsection .rodata\n"
        ".global rein_report_html\n"
        ".hidden rein_report_html\n"
        "rein_report_html:\n"
        ".incbin \"profiler/report.html\"\n"
        ".byte 0\n"
        ".popsection\n");
extern const char rein_report_html[] __attribute__((visibility("hidden")));

const char *rein_report_page(size_t *before, size_t *after, const char **tail)
{
	const char *mark = strstr(rein_report_html, MARK);
	*before = (size_t)(mark - rein_report_html);
	*tail = mark + strlen(MARK);
	*after = strlen(*tail);
	return rein_report_html;
}
