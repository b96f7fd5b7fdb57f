#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs test programs one after the other: tests/run.sh BUILD PROGRAM…
# A line each: name, result, seconds, checks; the output of those that fail. The last line is
# "N passed, N failed, N skipped", summed over the checks of all programs; a program that skips
# itself (exit status 77) counts as one. Status 1 if anything failed or nothing passed.
# TEST_TIMEOUT: seconds that one program may take (default 300).
set -uo pipefail
if (($# < 1)); then
	echo "usage: tests/run.sh BUILD PROGRAM..." >&2
	exit 2
fi
build=$1
shift
limit=${TEST_TIMEOUT:-300}
logs=$build/tests/logs
mkdir -p "$logs" || exit 1
# the tests decide what their programs see, not the shell that called us
unset REIN_RUN_DIR REIN_PRIO REIN_CLASS REIN_NAME REIN_LIB REIN_DISABLE REIN_LOG REIN_DRIVER \
	NVTX_INJECTION64_PATH LD_PRELOAD
export CK_VERBOSITY=normal
# builds with SAN=: the shim is preloaded before the sanitizer's runtime; no pause at each exit
export ASAN_OPTIONS=verify_asan_link_order=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}
export TSAN_OPTIONS=atexit_sleep_ms=0${TSAN_OPTIONS:+:$TSAN_OPTIONS}

passed=0 failed=0 skipped=0
for program in "$@"; do
	name=${program#"$build/tests/"}
	log=$logs/${name//\//-}.log
	started=$EPOCHREALTIME
	timeout -k 10 "$limit" "$program" >"$log" 2>&1 </dev/null
	status=$?
	tenths=$(((${EPOCHREALTIME/[.,]/} - ${started/[.,]/}) / 100000))
	checks=0 bad=0
	while read -r c f e; do
		((checks += c, bad += f + e))
	done < <(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' "$log")
	if ((status == 77)); then
		result=skipped
		((skipped += 1))
	elif ((status == 0 && bad == 0 && checks > 0)); then
		result=ok
	else
		result=FAILED
		((status == 124 || status == 137)) && echo "stopped after $limit s" >>"$log"
		((status == 0 && checks == 0)) && echo "it ran no check" >>"$log"
		# a crash outside of any check is a failure too
		((bad == 0)) && echo "exit status $status" >>"$log" && ((bad = 1, checks += 1))
	fi
	((status == 77)) || ((passed += checks - bad, failed += bad))
	printf '  %-32s %-8s %4d.%d s %5d checks\n' "$name" "$result" $((tenths / 10)) \
		$((tenths % 10)) "$checks"
	if [[ $result == FAILED ]]; then
		sed 's/^/    | /' "$log" | tail -n 60
	elif [[ $result == skipped ]]; then
		tail -n 1 "$log" | sed 's/^/    | /'
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
