// SPDX-License-Identifier: Apache-2.0
/*
 * report.h: a recording as one page that explains it: latency curves of each program, who delayed
 * whom, the worst requests taken apart, counters over time. The page needs no network and nothing
 * beside it; it holds its figures as JSON, which can also be had alone.
 *
 * Figures: attribute.h; counters: export.h. Names are the clients' own: printable ASCII here, and
 * escaped so that they can neither end the JSON nor the element around it; the page sets them as
 * text only.
 *
 * The JSON (schema_version 1), times in ns, moments since the window's begin:
 *	host, when, seconds, requests, late, left_out, records_lost, has_offcpu, has_gpu
 *	causes[]    name, key, delay (somebody else's doing)
 *	who[]       name, pid, prio, managed, declares, has_gpu, requests, late, median, p95, p99,
 *	            worst; cdf[] [latency, percent at most so long]; points[] [begin, latency,
 *	            late], of many the longest of each REIN_REPORT_BINS-th of the window
 *	lost[]      victim, culprit (indices into who), all[], late[]: ns by cause
 *	stories[]   who, begin, latency, deadline (0: none), late, cut, sentence, parts[]
 *	            [cause, who, ns, estimate]
 *	worst_of    "late" or "all": which requests the stories are the worst of
 *	counters[]  name, process, values[]: the greatest in each REIN_REPORT_BINS-th
 *
 * Memory: what attribute.h says, and 8 bytes a request. Threads: one at a time.
 */
#ifndef REIN_REPORT_H
#define REIN_REPORT_H

#include "attribute.h"

#define REIN_REPORT_BINS 400u

enum rein_report_format {
	REIN_REPORT_HTML,
	REIN_REPORT_JSON,
	REIN_REPORT_CSV, /* one row a request: pid, program, begin_ns, latency_ns, deadline_ns, late
	                  */
};

struct rein_report_wish {
	uint64_t from_ns, last_ns; /* as in rein_attribute_wish */
	size_t worst;              /* requests to be taken apart */
};

struct rein_report_result {
	size_t requests, stories;
	uint64_t late, records_lost;
	unsigned programs; /* that had requests */
	uint64_t from_ns, until_ns;
};

/* 0, or -errno; a write error is -EIO, or as fclose() will say. */
REIN_MUST_CHECK int rein_report_write(FILE *out, enum rein_report_format format,
                                      const struct rein_recording *r,
                                      const struct rein_report_wish *wish,
                                      struct rein_report_result *result);

#endif
