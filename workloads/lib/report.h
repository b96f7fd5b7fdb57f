// SPDX-License-Identifier: Apache-2.0
/* report.h: the demo's page: one self-contained HTML file, no scripts, no external resources. */
#ifndef WORKLOADS_LIB_REPORT_H
#define WORKLOADS_LIB_REPORT_H

#include <stdio.h>

#include "measure.h"
#include "table.h"

/* The table of the demo, for the terminal and the page. */
void wl_result_table(const struct wl_result *r, struct wl_table *t);
/* Writes the page. */
void wl_report_print(const struct wl_result *r, FILE *f);
/* 0, or -1 after one line on stderr. */
int wl_report_write(const struct wl_result *r, const char *path);

#endif
