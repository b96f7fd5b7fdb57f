// SPDX-License-Identifier: Apache-2.0
/*
 * perfetto.h: the sink that writes a Perfetto trace, for ui.perfetto.dev and trace_processor.
 *
 * The file is a protobuf message Trace of TracePackets on one sequence. Strings are interned: the
 * packet that needs one first defines it. A slice is two packets, one for its begin and one for its
 * end, written together; readers sort by time, and keep the order of what is at one time. The
 * clock of all packets, and of the trace, is MONOTONIC, joined to REALTIME by snapshots.
 *
 * Field numbers: Perfetto's public schema, protos/perfetto/trace/ (trace_packet.proto,
 * clock_snapshot.proto, interned_data/interned_data.proto, track_event/{track_event,
 * track_descriptor,process_descriptor,thread_descriptor,counter_descriptor,
 * debug_annotation}.proto). Those that we use stand in tests/unit/perfetto.proto, by which a test
 * decodes what comes out. Wire format: protobuf.dev, "Encoding".
 *
 * Memory: at most REIN_PERFETTO_STRINGS strings; what is beyond is written out each time.
 */
#ifndef REIN_PERFETTO_H
#define REIN_PERFETTO_H

#include "export.h"

#define REIN_PERFETTO_STRINGS (1u << 16)

/* NULL: no memory. `out` stays the caller's. */
struct rein_sink *rein_perfetto_new(FILE *out);
void rein_perfetto_free(struct rein_sink *s);

#endif
