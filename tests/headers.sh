#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tests/headers.sh BUILD [VERSION…]: builds librein.so and the stand-in with the headers of other CUDA
# versions and runs clients on the software GPU of BUILD with them, next to the ones of BUILD. Needs
# the network (the headers are wheels on PyPI), so it is no part of `make test`; what can be told
# without is in tests/process/test_headers.c.
set -euo pipefail
if (($# < 1)); then
	echo "usage: tests/headers.sh BUILD [VERSION…], for example 12.0 12.9 13.5" >&2
	exit 2
fi
cd "$(dirname "$0")/.."
build=$(realpath "$1")
shift
versions=("$@")
((${#versions[@]})) || versions=(12.0 12.4 12.9 13.0 13.5)
for part in softgpu/libcuda.so.1 tests/clients/ways tests/clients/resolve_linked tests/preload/cuda_plugin.so; do
	[[ -e $build/$part ]] || {
		echo "headers.sh: $build/$part is missing: run \`make all tests\` first" >&2
		exit 1
	}
done
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# fetch VERSION FOLDER: cuda.h and what belongs to it. cudaProfiler.h has been the same for years,
# and its package comes later: then the newest one that there is
fetch() {
	local suffix=''
	[[ $1 == 12.* ]] && suffix=-cu12
	download() { # FOLDER PACKAGE
		python3 -m pip --disable-pip-version-check -q download --no-deps -d "$1" "$2" </dev/null
	}
	download "$2" "nvidia-cuda-runtime$suffix==$1.*"
	download "$2" "nvidia-cuda-profiler-api$suffix==$1.*" 2>/dev/null ||
		download "$2" "nvidia-cuda-profiler-api$suffix"
	python3 - "$2" <<-'EOF'
		import glob, os, shutil, sys, zipfile
		for wheel in glob.glob(sys.argv[1] + "/*.whl"):
		    for name in zipfile.ZipFile(wheel).namelist():
		        if "/include/" in name and not name.endswith("/"):
		            to = os.path.join(sys.argv[1], "include", name.split("/include/")[1])
		            os.makedirs(os.path.dirname(to), exist_ok=True)
		            with zipfile.ZipFile(wheel).open(name) as source, open(to, "wb") as target:
		                shutil.copyfileobj(source, target)
	EOF
}

# run WAY MODE…: a client, found the way of that name
run() {
	local way=$1 preload='' libraries=$build/softgpu
	shift
	[[ $way != preload ]] || preload=$tmp/out/librein.so
	[[ $way != stand-in ]] || libraries=$tmp/out:$libraries
	env LD_PRELOAD="$preload" LD_LIBRARY_PATH="$libraries" REIN_RUN_DIR=/nonexistent \
		SOFTGPU_SHM="headers-$$" timeout 60 "$build/tests/clients/$1" "${@:2}"
}

failed=0
run bare ways names | grep -v ^hooked >"$tmp/names"
for version in "${versions[@]}"; do
	rm -rf "$tmp/cuda" "$tmp/out"
	mkdir "$tmp/cuda"
	fetch "$version" "$tmp/cuda"
	make --no-print-directory B="$tmp/out" CUDA_DIR="$tmp/cuda" CUPTI_H= -j"$(nproc)" \
		"$tmp/out/librein.so" "$tmp/out/libcuda.so.1" >"$tmp/log" 2>&1 || {
		tail -20 "$tmp/log"
		echo "FAIL $version: it does not build"
		failed=1
		continue
	}
	wrong=
	for way in preload stand-in; do
		for client in "ways work" "ways threads" "ways at-exit" "ways spawn" "ways handles" \
			"ways unload $build/tests/preload/cuda_plugin.so" resolve_linked; do
			# shellcheck disable=SC2086
			run $way $client >"$tmp/log" 2>&1 || wrong+=" $way:${client// /_}"
			grep -q "found: libcuda.so.1" "$tmp/log" && wrong+=" $way:${client// /_}:bypassed"
		done
		run $way ways names | grep -v ^hooked | cmp -s - "$tmp/names" || wrong+=" $way:names"
	done
	[[ -z $wrong ]] && echo "ok   $version" || {
		echo "FAIL $version:$wrong"
		failed=1
	}
done
exit $failed
