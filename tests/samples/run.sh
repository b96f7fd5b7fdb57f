#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD DIR...: builds CUDA sample programs, unmodified, with the shared runtime, and runs them on the
# software GPU, bare and under the shim. Each DIR is a sample, or holds samples, as a checkout of NVIDIA's
# cuda-samples does: a sample is a folder with sources, of its own or in src/. Common/ beside or above is
# its include folder. Pass is its own word, by its exit status: 0, or 2, by which samples waive themselves.
# Output that is not alike under the shim, numbers apart, counts as a failure.
#	SAMPLES_LIMIT   seconds for a run (default 170)
#	SAMPLES_MODE    SOFTGPU_MODE of the runs (default fast: results, not times)
#	NVCC, NVCC_FLAGS
set -uo pipefail
build=$(realpath "$1")
shift
limit=${SAMPLES_LIMIT:-170}
nvcc=${NVCC:-nvcc}
command -v "$nvcc" >/dev/null || nvcc=/usr/local/cuda/bin/nvcc
work=$build/samples
mkdir -p "$work"
((passed = same = waived = failed = left_out = 0))

# The folders below $1 that are samples.
list() {
	find "$1" -type f \( -name '*.cu' -o -name '*.cpp' \) -not -path '*/Common/*' -printf '%h\n' |
		sed 's,/\(src\|inc\)$,,' | sort -u
}

common_of() {
	local dir=$1
	while [[ $dir != / ]]; do
		[[ -d $dir/Common ]] && echo "$dir/Common" && return
		dir=$(dirname "$dir")
	done
}

# What CMakeLists.txt would compile: not what another source includes, nor what is loaded at run time.
sources() {
	local f all=()
	mapfile -t all < <(find . -maxdepth 2 \( -name '*.cu' -o -name '*.cpp' -o -name '*.c' \) | sort)
	for f in "${all[@]}"; do
		grep -qE "#include *[<\"]([^\">]*/)?$(basename "$f")[\">]" -- "${all[@]}" ./*.h ./*.cuh inc/* 2>/dev/null && continue
		[[ $f == *.cu ]] && is_loaded "$f" && continue
		echo "$f"
	done
}

is_loaded() {
	[[ $PWD == *_nvrtc ]] || grep -qE "\"(\./)?$(basename "$1" .cu)(64)?\.(fatbin|ptx)\"|\"$(basename "$1")\"" \
		-- ./*.cpp ./*.cu 2>/dev/null
}

compile() {
	local flags=(-cudart shared -w -std=c++17 --extended-lambda -Xcompiler -fopenmp -I. -Iinc) files f
	local common
	common=$(common_of "$PWD")
	[[ $common ]] && flags+=("-I$common")
	# shellcheck disable=SC2206 # several words are several flags
	flags+=(${NVCC_FLAGS:-})
	for f in ./*.cu; do
		[[ -e $f ]] && is_loaded "$f" && [[ $PWD != *_nvrtc ]] &&
			"$nvcc" -fatbin "${flags[@]}" -o "$(basename "$f" .cu)64.fatbin" "$f"
	done
	mapfile -t files < <(sources)
	((${#files[@]})) || return 1
	for f in helper_multiprocess multithreading; do
		[[ $common && -e $common/$f.cpp && ! -e $f.cpp ]] && grep -ql "$f\.h" "${files[@]}" &&
			files+=("$common/$f.cpp")
	done
	grep -qlE 'curand(_kernel)?\.h' "${files[@]}" inc/* ./*.h 2>/dev/null && flags+=(-lcurand)
	"$nvcc" "${flags[@]}" "${files[@]}" -o "$1" -lcuda -lnvrtc ||
		"$nvcc" -rdc=true "${flags[@]}" "${files[@]}" -o "$1" -lcuda -lnvrtc -lcudadevrt
}

# run OUT VAR=VALUE...: prints its word.
run() {
	local out=$1
	shift
	env "$@" LD_LIBRARY_PATH="$build/softgpu:${LD_LIBRARY_PATH:-}" SOFTGPU_MODE="${SAMPLES_MODE:-fast}" SOFTGPU_SHM="samples-$$" \
		timeout -k 5 "$limit" "$work/$name" >"$out" 2>&1 </dev/null
	case $? in
	0) echo pass ;;
	2) echo waived ;;
	124 | 137) echo "over $limit s" ;;
	*) echo FAIL ;;
	esac
}

alike() {
	diff -q <(sed -E 's/0x[0-9a-f]+|[-+0-9.]+(e[-+]?[0-9]+)?|inf|nan/#/g; s/ +/ /g' "$work/$name.bare" | sort) \
		<(sed -E 's/0x[0-9a-f]+|[-+0-9.]+(e[-+]?[0-9]+)?|inf|nan/#/g; s/ +/ /g' "$work/$name.shim" | sort) >/dev/null
}

printf '%-34s %-10s %-10s %6s\n' sample bare 'under shim' s
for top in "$@"; do
	while read -r dir; do
		name=$(basename "$dir")
		if ! (cd "$dir" && compile "$work/$name") >"$work/$name.log" 2>&1; then
			((left_out++))
			printf '%-34s does not build: %s\n' "$name" "$(grep -m1 -iE 'error|cannot|undefined' "$work/$name.log" | cut -c1-100)"
			continue
		fi
		cd "$dir" || exit
		begin=$SECONDS
		bare=$(run "$work/$name.bare")
		took=$((SECONDS - begin))
		shim=$(run "$work/$name.shim" LD_PRELOAD="$build/librein.so")
		cd "$OLDPWD" || exit
		if [[ $bare == "$shim" ]] && alike; then
			((same++))
		else
			shim+=', differs'
		fi
		case $bare in
		pass) ((passed++)) ;;
		waived) ((waived++)) ;;
		*) ((failed++)) ;;
		esac
		printf '%-34s %-10s %-10s %6d\n' "$name" "$bare" "$shim" "$took"
	done < <(list "$(realpath "$top")")
done
echo "$passed passed, $waived waived themselves, $failed failed; $same of $((passed + waived + failed)) alike under the shim;" \
	"$left_out did not build. Outputs: $work"
((failed == 0 && same == passed + waived))
