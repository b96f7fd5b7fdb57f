#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decodes a Perfetto trace with protoc and checks that it holds together, as trace_processor would
find out: fields known, strings defined before they are used, tracks described before, clocks told,
slices of a track one after or within the other, flows with both ends. Prints what is in it as JSON;
or, on stderr, what is wrong, and fails.

usage: perfetto_check.py TRACE"""
import json
import os
import re
import subprocess
import sys

MONOTONIC = 3
INTERNED = {"event_categories": "category", "event_names": "name",
            "debug_annotation_names": "key", "debug_annotation_string_values": "text"}


def fail(why):
    sys.exit("perfetto_check: " + why)


def unquote(text):
    plain = text[1:-1].encode().decode("unicode_escape")
    return plain


def decode(path):
    """The packets, each a dict of lists."""
    proto = os.path.join(os.path.dirname(os.path.abspath(__file__)), "perfetto.proto")
    with open(path, "rb") as trace:
        out = subprocess.run(["protoc", "--decode=Trace", "-I", os.path.dirname(proto), proto],
                             stdin=trace, capture_output=True, check=False)
    if out.returncode:
        fail("protoc: " + out.stderr.decode())
    with open(path, "rb") as trace:
        if subprocess.run(["protoc", "--decode_raw"], stdin=trace, stdout=subprocess.DEVNULL,
                          check=False).returncode:
            fail("protoc --decode_raw failed")
    root = {}
    stack = [root]
    for line in out.stdout.decode().splitlines():
        line = line.strip()
        if line == "}":
            stack.pop()
        elif line.endswith(" {"):
            child = {}
            stack[-1].setdefault(line[:-2], []).append(child)
            stack.append(child)
        else:
            key, value = line.split(": ", 1)
            if re.fullmatch(r"\d+", key):
                fail(f"field {key} is not in our part of the schema")
            if value.startswith('"'):
                value = unquote(value)
            elif re.fullmatch(r"-?\d+", value):
                value = int(value)
            elif value in ("true", "false"):
                value = value == "true"
            stack[-1].setdefault(key, []).append(value)
    return root.get("packet", [])


def one(message, key, default=None):
    values = message.get(key, [default])
    if len(values) != 1:
        fail(f"{key} is there {len(values)} times")
    return values[0]


class Trace:
    def __init__(self):
        self.strings, self.tracks, self.events, self.clocks = {}, {}, [], []
        self.ready = False

    def string(self, kind, iid):
        if (kind, iid) not in self.strings:
            fail(f"{kind} {iid} is used before it is defined")
        return self.strings[kind, iid]

    def descriptor(self, d):
        uuid, parent = one(d, "uuid"), one(d, "parent_uuid")
        if not uuid or uuid in self.tracks:
            fail(f"track {uuid} is described twice, or has no number")
        if parent is not None and parent not in self.tracks:
            fail(f"track {uuid} comes before its parent {parent}")
        process, thread = one(d, "process"), one(d, "thread")
        name = one(d, "name", "")
        if process:
            name = f'{one(process, "process_name")} {one(process, "pid")}'
        if thread:
            name = f'thread {one(thread, "tid")}'
        path = self.tracks[parent]["path"] + "/" + name if parent else name
        self.tracks[uuid] = {"path": path, "counter": "counter" in d, "thread": bool(thread),
                             "labels": process.get("process_labels", []) if process else []}

    def event(self, e, packet):
        uuid, ts = one(e, "track_uuid"), one(packet, "timestamp")
        if not self.ready or one(packet, "sequence_flags", 0) & 2 != 2:
            fail("an event before the sequence's defaults, or without its state")
        if ts is None or uuid not in self.tracks:
            fail(f"an event without time, or on track {uuid}, which nobody described")
        names = e.get("name", []) + [self.string("name", i) for i in e.get("name_iid", [])]
        args = {}
        for a in e.get("debug_annotations", []):
            key = self.string("key", one(a, "name_iid"))
            values = [v[0] for k, v in a.items() if k in ("bool_value", "uint_value", "string_value")]
            values += [self.string("text", i) for i in a.get("string_value_iid", [])]
            if len(values) != 1 or key in args:
                fail(f"annotation {key} has {len(values)} values, or is there twice")
            args[key] = values[0]
        self.events.append({
            "type": one(e, "type"), "track": uuid, "ts": ts, "name": names[0] if names else None,
            "category": [self.string("category", i) for i in e.get("category_iids", [])],
            "args": args, "value": one(e, "counter_value"),
            "flows": e.get("flow_ids", []), "ends": e.get("terminating_flow_ids", [])})

    def packet(self, p):
        if one(p, "trusted_packet_sequence_id") != 1:
            fail("a packet is on no sequence")
        for kind, what in INTERNED.items():
            for s in one(p, "interned_data", {}).get(kind, []):
                if (what, one(s, "iid")) in self.strings:
                    fail(f'{what} {one(s, "iid")} is defined twice')
                self.strings[what, one(s, "iid")] = one(s, "name", "")
        if "trace_packet_defaults" in p:
            if one(one(p, "trace_packet_defaults"), "timestamp_clock_id") != MONOTONIC:
                fail("the clock of the packets is not MONOTONIC")
            self.ready = one(p, "sequence_flags") == 1
        if "clock_snapshot" in p:
            if one(one(p, "clock_snapshot"), "primary_trace_clock") != MONOTONIC:
                fail("the clock of the trace is not MONOTONIC")
            self.clocks += one(p, "clock_snapshot").get("clocks", [])
        if "track_descriptor" in p:
            self.descriptor(one(p, "track_descriptor"))
        if "track_event" in p:
            self.event(one(p, "track_event"), p)

    def slices(self):
        """Pairs begins and ends as trace_processor does: by time, else in the file's order."""
        done, instants, counters, open_on = [], [], {}, {}
        for e in sorted(self.events, key=lambda e: e["ts"]):
            track = self.tracks[e["track"]]
            stack = open_on.setdefault(e["track"], [])
            if track["counter"] != (e["type"] == "TYPE_COUNTER"):
                fail(f'{e["type"]} on {track["path"]}')
            if e["type"] == "TYPE_SLICE_BEGIN":
                stack.append({"track": track["path"], "name": e["name"], "begin": e["ts"],
                              "category": e["category"], "args": e["args"], "depth": len(stack)})
            elif e["type"] == "TYPE_SLICE_END":
                if not stack:
                    fail(f'an end without a begin on {track["path"]}')
                stack[-1]["end"] = e["ts"]
                done.append(stack.pop())
            elif e["type"] == "TYPE_INSTANT":
                instants.append({"track": track["path"], "name": e["name"], "ts": e["ts"],
                                 "args": e["args"]})
            else:
                counters.setdefault(track["path"], []).append([e["ts"], e["value"]])
        for uuid, stack in open_on.items():
            if stack:
                fail(f'{len(stack)} slices without an end on {self.tracks[uuid]["path"]}')
        return done, instants, counters

    def flows(self):
        """Each begins at one event, ends at the last, and joins at least two."""
        ids, ended, lengths = {}, set(), {}
        for e in sorted(self.events, key=lambda e: e["ts"]):
            for f in e["flows"] + e["ends"]:
                if f in ended:
                    fail(f"flow {f} goes on after its end")
                ids.setdefault(f, []).append(self.tracks[e["track"]]["path"])
            ended.update(e["ends"])
        for f, path in ids.items():
            if len(path) < 2:
                fail(f"flow {f} has one end only, on {path[0]}")
            lengths[len(path)] = lengths.get(len(path), 0) + 1
        return list(ids.values())


def main():
    trace = Trace()
    for p in decode(sys.argv[1]):
        trace.packet(p)
    slices, instants, counters = trace.slices()
    json.dump({"slices": slices, "instants": instants, "counters": counters,
               "flows": trace.flows(), "clocks": trace.clocks,
               "tracks": [t["path"] for t in trace.tracks.values()],
               "labels": {t["path"]: t["labels"] for t in trace.tracks.values() if t["labels"]}},
              sys.stdout)


main()
