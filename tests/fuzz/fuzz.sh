#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds each tests/fuzz/fuzz_X.c with libFuzzer and the address sanitizer and runs it for
# FUZZ_SECONDS (default 60), starting from tests/fuzz/seeds/X; FUZZ="ptx image": only these. Findings
# stay in BUILD/fuzz/X.
set -euo pipefail
build=$1
seconds=${FUZZ_SECONDS:-60}
command -v clang >/dev/null || {
	echo "fuzz: clang is missing; libFuzzer comes with it: apt-get install clang" >&2
	exit 1
}
objects=(common/*.c softgpu/ptx*.c softgpu/image*.c daemon/{config,confkeys,confread,arbiter,active,stall,decide,job,hold,points,device,account,measure,recent,metrics_at,metrics_http}.c policy/*.c
	profiler/{recording,names,sorted,export*,perfetto,chrome,csv,attribute*,report*}.c interpose/rmtable.c)
failed=0
for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	name=${name#fuzz_}
	[[ -z ${FUZZ:-} || " $FUZZ " == *" $name "* ]] || continue
	dir=$build/fuzz/$name
	mkdir -p "$dir/corpus"
	echo "fuzz $name: building"
	clang -g -O1 -std=gnu11 -D_GNU_SOURCE -I. -I"$build/gen" -Wno-everything \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		"$source" "${objects[@]}" -o "$dir/fuzz" -llz4 -lzstd -linih -lm -lpthread
	echo "fuzz $name: running for $seconds s"
	if "$dir/fuzz" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=16384 \
		-artifact_prefix="$dir/" "$dir/corpus" "tests/fuzz/seeds/$name" >"$dir/log" 2>&1; then
		echo "fuzz $name: ok, $(grep -c . <(ls "$dir/corpus")) inputs kept"
	else
		echo "fuzz $name: FAILED; the input and $dir/log tell more"
		tail -n 20 "$dir/log"
		failed=1
	fi
done
exit $failed
