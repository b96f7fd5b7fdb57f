#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Copies what was built to its place: packaging/install.sh BUILD PREFIX, where PREFIX already
# holds DESTDIR. `rein` finds its parts relative to itself, so PREFIX may be moved as a whole.
set -euo pipefail
if (($# != 2)); then
	echo "usage: packaging/install.sh BUILD PREFIX" >&2
	exit 2
fi
build=$1
prefix=$2
here=$(cd "$(dirname "$0")/.." && pwd)

put() { # MODE FOLDER FILE [NAME]
	install -D -m "$1" "$3" "$prefix/$2/${4:-${3##*/}}"
	echo "  $prefix/$2/${4:-${3##*/}}"
}

for product in rein reind librein.so librein-cupti.so libcuda.so.1 softgpu/libcuda.so.1; do
	[[ -e $build/$product ]] || {
		echo "install: $build/$product is missing; run \`make\` first" >&2
		exit 1
	}
done
put 755 bin "$build/rein"
put 755 sbin "$build/reind"
put 644 lib/rein "$build/librein.so"
put 644 lib/rein "$build/librein-cupti.so"
# a folder of its own: it goes into LD_LIBRARY_PATH
put 644 lib/rein/standin "$build/libcuda.so.1"
ln -sfn ../librein-cupti.so "$prefix/lib/rein/standin/librein-cupti.so" # looked for beside it
for library in "$build"/softgpu/lib*.so.*; do
	put 644 lib/rein/softgpu "$library"
	ln -sfn "${library##*/}" "$prefix/lib/rein/softgpu/$(basename "${library%.so.*}").so"
done
if [[ -e $build/gpu/ctx_hold ]]; then # what `rein calibrate` runs
	for probe in device launch_cost queue_gate_{cost,latency,slice,hold} \
		slices_{split,confine} ctx_{timeslice,hold}; do
		put 755 libexec/rein/gpu "$build/gpu/$probe"
	done
	put 644 libexec/rein/gpu/preload "$build/gpu/preload/rm_spy.so"
else
	echo "install: what rein calibrate runs is left out; it was not built"
fi
put 644 include "$here/include/rein.h"
made=$(mktemp)
trap 'rm -f "$made"' EXIT
version=$(sed -n 's/^#define REIN_VERSION "\(.*\)"$/\1/p' "$here/common/version.h")
sed "s/@VERSION@/$version/" "$here/packaging/rein.pc.in" >"$made"
put 644 share/pkgconfig "$made" rein.pc
put 644 share/doc/rein "$here/packaging/rein.conf"
put 644 share/bash-completion/completions "$here/tools/completion/rein.bash" rein
if command -v scdoc >/dev/null; then
	for source in "$here"/tools/man/*.scd; do
		name=$(basename "$source" .scd)
		scdoc <"$source" >"$made"
		put 644 "share/man/man${name##*.}" "$made" "$name"
	done
else
	echo "install: the man pages are left out; scdoc is missing (apt-get install scdoc)"
fi
