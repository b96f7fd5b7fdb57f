#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what rein needs and this machine lacks: Debian packages by name, and the CUDA headers
# and nvcc. Says what and why. Does nothing, quickly, when all is there.
#   packaging/deps.sh          what building and the demo need
#   packaging/deps.sh --test   what the tests need besides
#   packaging/deps.sh --lint   what `make lint` needs besides
#   packaging/deps.sh --fuzz   what `make fuzz` needs besides
#   packaging/deps.sh --metrics  what tests/process/test_metrics_scrape.c uses where it is there:
#                              Debian's prometheus, which starts a service of its own
# CUDA: $CUDA_HOME, /usr/local/cuda, or else the toolkit's wheels from PyPI in build/cuda.
# REIN_NO_SYSTEM_CUDA=1 makes it ignore the first two.
set -euo pipefail
cd "$(dirname "$0")/.."

base=(
	"gcc|the compiler" "g++|the host compiler that nvcc calls" "libc6-dev|the C library's headers"
	"make|the build" "pkg-config|finds the libraries" "python3|generates the CUDA wrappers"
	"git|lists the files to check and format" "uthash-dev|hash tables (daemon)"
	"libinih-dev|rein.conf" "libjansson-dev|JSON" "libncurses-dev|rein top"
	"liblz4-dev|compressed fat binaries" "libzstd-dev|compressed fat binaries"
	"libbpf-dev|what the kernel tells (BPF)" "bpftool|makes headers of the BPF programs"
	"clang|compiles the BPF programs" "systemtap-sdt-dev|the shim's probes (USDT)"
	"scdoc|the man pages"
)
test=("check|the tests" "strace|tests that watch system calls"
	"protobuf-compiler|tests that decode traces"
	"chromium|the test that looks at rein report's page; large, and skipped where it is missing")
lint=("clang-format|format check" "clang-tidy|static checks" "cppcheck|static checks"
	"shellcheck|checks of the scripts")
fuzz=("clang|builds the fuzzers" "libclang-rt-dev|libFuzzer and its sanitizers")
metrics=("prometheus|a real scraper and promtool")
cuda_wheels=(nvidia-cuda-runtime nvidia-cuda-nvcc nvidia-cuda-crt nvidia-nvvm nvidia-cuda-profiler-api
	nvidia-cuda-cupti)
cuda_version="13.0.*"

fail() {
	echo "deps: $1; $2" >&2
	exit 1
}

# Of the "package|why" arguments, sets `missing` to those whose package is not installed.
find_missing() {
	local installed item
	installed=" $(dpkg-query -W -f '${db:Status-Status}=${Package} ' "${@%%|*}" 2>/dev/null || true) "
	missing=()
	for item in "$@"; do
		[[ $installed == *" installed=${item%%|*} "* ]] || missing+=("$item")
	done
}

install_packages() {
	local item command
	if ! command -v dpkg-query >/dev/null; then
		echo "deps: no dpkg here, so nothing is installed; rein needs the equivalents of:" \
			"${*%%|*}" >&2
		return
	fi
	find_missing "$@"
	((${#missing[@]})) || return 0
	for item in "${missing[@]}"; do
		printf 'deps: %-16s is missing (%s)\n' "${item%%|*}" "${item#*|}"
	done
	command="apt-get install -y --no-install-recommends ${missing[*]%%|*}"
	[[ $EUID == 0 ]] || fail "only root may install packages" "run: sudo $command"
	echo "deps: $command"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq </dev/null || fail "apt-get update failed" "check the network and /etc/apt"
	$command -qq </dev/null >/dev/null || fail "apt-get install failed" "see its message above"
}

has_cuda() {
	[[ -n $1 && -f $1/include/cuda.h && -f $1/include/cudaProfiler.h && -x $1/bin/nvcc ]]
}

# All of the toolkit's wheels unpack to one folder, nvidia/cu13, which is laid out like a toolkit.
install_cuda() {
	local dir dirs=(build/cuda) part=build/cuda.part unpacked
	[[ ${REIN_NO_SYSTEM_CUDA:-} ]] || dirs=("${CUDA_HOME:-}" /usr/local/cuda build/cuda)
	for dir in "${dirs[@]}"; do
		has_cuda "$dir" && return
	done
	echo "deps: no CUDA toolkit in \$CUDA_HOME or /usr/local/cuda; its headers (the shim's entry" \
		"points) and nvcc (the example kernels) come from PyPI into build/cuda, about 250 MB:" \
		"${cuda_wheels[*]}"
	install_packages "python3-venv|fetches the wheels"
	rm -rf "$part"
	mkdir -p "$part"
	python3 -m venv "$part/venv" </dev/null ||
		fail "python3 -m venv failed" "see its message above, or install a CUDA 13.0 toolkit"
	"$part/venv/bin/pip" --disable-pip-version-check install -q --no-deps --target "$part/wheels" \
		"${cuda_wheels[@]/%/==$cuda_version}" </dev/null ||
		fail "pip could not fetch the toolkit" \
			"check the network, or install a CUDA 13.0 toolkit and set CUDA_HOME"
	unpacked=$part/wheels/nvidia/cu13
	ln -sfn lib "$unpacked/lib64"
	has_cuda "$unpacked" ||
		fail "the wheels hold no cuda.h, cudaProfiler.h and nvcc where they are expected" \
			"install a CUDA 13.0 toolkit and set CUDA_HOME"
	rm -rf build/cuda
	mv "$unpacked" build/cuda
	rm -rf "$part"
	echo "deps: build/cuda is ready"
}

case ${1:-} in
"")
	install_packages "${base[@]}"
	install_cuda
	;;
--test) install_packages "${test[@]}" ;;
--lint) install_packages "${lint[@]}" ;;
--fuzz) install_packages "${fuzz[@]}" ;;
--metrics) install_packages "${metrics[@]}" ;;
*)
	echo "usage: packaging/deps.sh [--test|--lint|--fuzz|--metrics]" >&2
	exit 2
	;;
esac
