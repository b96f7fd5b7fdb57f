#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lint.sh BUILD CUDA_DIR: the checks of `make lint`, one line each: "ok NAME" or "FAIL NAME" with
# what was found. Exit status 1 if any failed. LINT_ONLY="format spdx" runs only those.
set -u

if [ $# -ne 2 ]; then
	echo "usage: tests/lint/lint.sh BUILD CUDA_DIR" >&2
	exit 2
fi
build=$1
cuda=$2
cd "$(dirname "$0")/../.." || exit 2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
jobs=$(nproc)
failed=0

# Files of the project by pattern: what git tracks or would track.
files() {
	git ls-files -co --exclude-standard -- "$@" | while read -r f; do
		[ -f "$f" ] && echo "$f"
	done
}

need() {
	command -v "$1" >/dev/null && return
	echo "$1 is not installed: run 'packaging/deps.sh --lint'"
	return 1
}

check_entries() {
	python3 interpose/gen.py --include "$cuda/include" --out "$tmp/gen" --check
}

# The shim, the stand-in and the agent export what their version scripts name, nothing else, and need
# libc only.
check_exports() {
	exports_of "$build/librein.so" "$build/gen/exports.map" &&
		exports_of "$build/libcuda.so.1" "$build/gen/standin.map" &&
		exports_of "$build/librein-cupti.so" profiler/cupti/exports.map
}

exports_of() {
	local lib=$1 wrong
	if ! [ -f "$lib" ]; then
		echo "$lib is not built"
		return 1
	fi
	sed -n 's/^\t\([a-zA-Z_0-9]*\);$/\1/p' "$2" | sort -u >"$tmp/want"
	nm -D --defined-only "$lib" | awk '$2 != "A" {sub(/@.*/, "", $3); print $3}' | sort -u >"$tmp/have"
	diff "$tmp/want" "$tmp/have" || return 1
	wrong=$(readelf -d "$lib" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
		grep -Ev '^(libc\.so\.6|ld-linux-.*|libdl\.so\.2|libpthread\.so\.0)$')
	[ -z "$wrong" ] || { echo "$lib needs more than libc: $wrong"; return 1; }
}

# The shim's law: it never ends the process and never prints to stdout.
check_law() {
	local wrong
	wrong=$(nm -D --undefined-only "$build/librein.so" | awk '{sub(/@.*/, "", $2); print $2}' |
		grep -Ex '_?exit|_Exit|abort|__assert_fail|(__)?v?printf(_chk)?|puts|putchar|stdout|system')
	[ -z "$wrong" ] || { echo "librein.so calls: $wrong"; return 1; }
}

check_format() {
	need clang-format || return 1
	files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

check_cppcheck() {
	need cppcheck || return 1
	files '*.c' | grep -v '\.bpf\.c$' | xargs cppcheck --quiet --std=c11 --language=c --error-exitcode=1 -j"$jobs" \
		--enable=warning,performance,portability --inline-suppr -D__x86_64__ -D_GNU_SOURCE \
		-I. -I"$build/gen" --suppressions-list=tests/lint/cppcheck.txt
}

# One file, its report in one piece: several run at once.
tidy_one() {
	local report
	# shellcheck disable=SC2086
	report=$(clang-tidy --quiet "$1" -- $TIDY_FLAGS 2>/dev/null) && return
	echo "$report"
	return 1
}

check_tidy() {
	need clang-tidy || return 1
	TIDY_FLAGS="-std=gnu11 -D_GNU_SOURCE -I. -I$build/gen -isystem $cuda/include
		-DBUILD_DIR=__FILE__ -DFATBIN=__FILE__ -DGPU_FATBIN=__FILE__ -DENEMY_FATBIN=__FILE__ -DBENCH_FATBIN=__FILE__
		$(pkg-config --cflags check inih jansson ncurses liblz4 libzstd 2>/dev/null)"
	export -f tidy_one
	export TIDY_FLAGS
	files '*.c' | grep -Ev '^tests/fuzz/|\.bpf\.c$' | xargs -P "$jobs" -I{} bash -c 'tidy_one "$1"' tidy {}
}

check_shell() {
	need shellcheck || return 1
	files '*.sh' '.ci/*' | while read -r f; do
		head -1 "$f" | grep -Eq '^#!.*\b(ba)?sh' && echo "$f"
	done | xargs -r shellcheck -S warning
}

check_python() {
	files '*.py' | xargs -r -n1 python3 -W error -c \
		'import sys; compile(open(sys.argv[1], encoding="utf-8").read(), sys.argv[1], "exec")'
}

check_spdx() {
	local wrong
	wrong=$(files '*.c' '*.h' '*.cu' '*.py' '*.sh' '*.tbl' Makefile | while read -r f; do
		head -3 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f"
	done)
	[ -z "$wrong" ] || { echo "no SPDX line: $wrong"; return 1; }
}

check_marks() {
	# spelled so that this file does not find itself
	if files '*.c' '*.h' '*.cu' '*.py' '*.sh' '*.md' '*.tbl' Makefile |
		xargs grep -nE '\b(TO[D]O|FIX[M]E|XX[X]|HAC[K])\b'; then
		return 1
	fi
}

check_length() {
	local wrong
	wrong=$(files '*.c' '*.h' '*.py' | xargs wc -l | awk '$1 > 700 && $2 != "total" {print $2 ": " $1}')
	[ -z "$wrong" ] || { echo "more than 700 lines: $wrong"; return 1; }
}

for name in ${LINT_ONLY:-entries exports law spdx marks length format shell python cppcheck tidy}; do
	if "check_$name" >"$tmp/report" 2>&1; then
		echo "ok   $name"
	else
		echo "FAIL $name"
		sed 's/^/     /' "$tmp/report" | head -200
		failed=1
	fi
done
exit $failed
