# SPDX-License-Identifier: Apache-2.0
# rein: one non-recursive Makefile. `make help` lists the targets; V=1 shows commands;
# SAN=asan|tsan builds everything with a sanitizer under its own build folder.

SAN      ?=
B        ?= build$(if $(SAN),/$(SAN))
PREFIX   ?= /usr/local
CC       ?= gcc
PYTHON   ?= python3
# the first of these that holds what we need, as in packaging/deps.sh
has_cuda  = $(and $(wildcard $(1)/include/cuda.h),$(wildcard $(1)/include/cudaProfiler.h),$(wildcard $(1)/bin/nvcc))
CUDA_DIRS := $(if $(REIN_NO_SYSTEM_CUDA),,$(CUDA_HOME) /usr/local/cuda \
               $(patsubst %/bin/nvcc,%,$(realpath $(shell command -v nvcc 2>/dev/null))))
CUDA_DIR := $(firstword $(foreach d,$(CUDA_DIRS),$(if $(call has_cuda,$(d)),$(d))) build/cuda)
NVCC     ?= $(firstword $(wildcard $(CUDA_DIR)/bin/nvcc) nvcc)
# libraries found here; what needs another is left out, and `make` says so
HAVE     := $(foreach p,inih jansson ncurses liblz4 libzstd check libbpf,\
              $(if $(shell pkg-config --exists $(p) 2>/dev/null && echo y),$(p)))
has       = $(if $(filter-out $(HAVE),$(1)),,y)

Q := $(if $(V),,@)
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
# one line per file that is made, and its folder
say = @mkdir -p $(@D); $(if $(V),:,printf '  %-5s %s\n' '$(1)' '$(2)')

SAN_asan := -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
SAN_tsan := -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan
CFLAGS   ?= -O2 -g
WERROR   ?= -Werror
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
            -Wno-unused-parameter $(WERROR)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -fno-strict-aliasing $(WARN) \
             -I$(B)/gen -isystem $(CUDA_DIR)/include $(SAN_$(SAN)) $(CFLAGS)
ALL_LDFLAGS = $(SAN_$(SAN)) $(LDFLAGS)
# eBPF: clang compiles the programs, bpftool makes headers of them
BPF_CLANG ?= clang
BPFTOOL  ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
HAVE_BPF := $(and $(call has,libbpf),$(shell command -v $(BPF_CLANG)),$(shell command -v $(BPFTOOL)))
PKG_DAEMON := inih jansson $(if $(HAVE_BPF),libbpf)
PKG_TOOLS  := inih jansson ncurses
PKG_SOFT   := liblz4 libzstd
PKG_TEST   := check jansson
pkg_cflags = $(shell pkg-config --cflags $(1) 2>/dev/null)
pkg_libs   = $(shell pkg-config --libs $(1) 2>/dev/null)

# sources that need a library, and what stands in for them without it
WITHOUT   := $(if $(call has,inih),daemon/confread_none.c,daemon/confread.c) \
             $(if $(HAVE_BPF),profiler/bpf/none.c,$(addprefix profiler/bpf/,bpf.c outsider.c)) \
             $(if $(call has,jansson),daemon/control_none.c,daemon/control.c daemon/profile.c \
               $(addprefix workloads/lib/,jsonfile.c measure.c report.c result.c timeline.c daemon.c preempt_report.c))
src = $(filter-out $(WITHOUT) %.bpf.c,$(wildcard $(1)/*.c))
obj = $(patsubst %.c,$(B)/obj/%.o,$(1))
FOLDERS   := common interpose policy policy/sim profiler profiler/cupti daemon tools softgpu workloads/lib workloads/gpu/lib
GEN       := $(addprefix $(B)/gen/,cuda_real.h cuda_entries.h hooks.c exports.map \
               standin.map standin_calls.c cuda_versions.h softgpu_missing.c entry_names.h)
CU        := saxpy matmul
SOFTGPU   := $(if $(call has,$(PKG_SOFT)),$(B)/softgpu/libcuda.so.1)
CUPTI_H   := $(firstword $(wildcard $(addprefix $(CUDA_DIR)/,include/cupti.h extras/CUPTI/include/cupti.h)))
SOFTCUDART := $(if $(SOFTGPU),$(addprefix $(B)/softgpu/,libcudart.so.13 libcudart_static.a))
SOFTCUPTI := $(if $(SOFTGPU),$(if $(CUPTI_H),$(B)/softgpu/libcupti.so.13))
NVRTC_H   := $(wildcard $(CUDA_DIR)/include/nvrtc.h)
SOFTNVRTC := $(if $(SOFTGPU),$(if $(NVRTC_H),$(B)/softgpu/libnvrtc.so.13))
BENCHES   := $(filter-out $(if $(SOFTGPU),,bench_softgpu) $(if $(SOFTCUPTI),,bench_cupti),\
               $(patsubst workloads/%.c,%,$(wildcard workloads/bench_*.c)))
# what `rein calibrate` runs: gpu-check's probes
CALIBRATE := $(addprefix $(B)/gpu/,device launch_cost queue_gate_cost queue_gate_latency queue_gate_slice \
               queue_gate_hold slices_split slices_confine ctx_timeslice ctx_hold preload/rm_spy.so)
PRODUCTS  := $(B)/librein.so $(B)/librein-cupti.so $(B)/libcuda.so.1 $(B)/reind $(SOFTGPU) $(SOFTCUDART) $(SOFTCUPTI) $(SOFTNVRTC) \
             $(if $(call has,$(PKG_TOOLS)),$(B)/rein) \
             $(addprefix $(B)/workloads/,lc be enemy urgent $(CU) null/libcuda.so.1 \
               $(if $(call has,jansson),demo bench $(BENCHES))) $(CALIBRATE)
UNIT      := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c tests/sim/test_*.c))
PROCESS   := $(filter-out $(if $(HAVE_BPF),,%/test_bpf),$(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/process/test_*.c)))
PRELOAD   := $(patsubst tests/preload/%.c,$(B)/tests/preload/%.so,$(wildcard tests/preload/*.c))
CLIENTS   := $(patsubst tests/clients/%.c,$(B)/tests/clients/%,$(wildcard tests/clients/*.c))
KERNELS   := $(patsubst tests/%.cu,$(B)/tests/%.fatbin,$(wildcard tests/kernels/*.cu))
PROBES    := $(patsubst workloads/%.c,$(B)/%,$(wildcard workloads/gpu/*.c)) \
             $(patsubst workloads/%.c,$(B)/%.so,$(wildcard workloads/gpu/preload/*.c))
CUDART_TESTS := $(patsubst tests/%.cu,$(B)/tests/%,$(filter-out %_part.cu $(if $(NVRTC_H),,%/compiled.cu),$(wildcard tests/cudart/*.cu))) \
             $(addprefix $(B)/tests/cudart/,api-static plugin-static)
CUDART    := $(foreach s,static shared,$(patsubst workloads/%.cu,$(B)/%-$(s),$(wildcard workloads/gpu/cudart/*.cu)))
RECORD    := $(addprefix $(B)/record/,libcuda.so.1 replay)
GPU_PARTS := $(RECORD) $(KERNELS) $(filter-out %/rein %/demo %/bench $(addprefix %/,$(BENCHES)),$(PRODUCTS)) $(PROBES) $(CUDART) $(CLIENTS)

.PHONY: all demo test bench torch samples gpu-check gpu-parts lint fmt fuzz install deps help clean tests left-out
.DELETE_ON_ERROR:
.SECONDARY:
all: $(PRODUCTS) left-out ## build everything: librein.so, reind, rein, the software GPU, the workloads
LEFT_OUT   = $(if $(call has,$(2)),,printf '  left out: %s (needs %s)\n' '$(1)' '$(filter-out $(HAVE),$(2))';)
left-out:
	@$(call LEFT_OUT,rein.conf in reind,inih) \
	  $(call LEFT_OUT,the control socket of reind,jansson) \
	  $(call LEFT_OUT,rein,$(PKG_TOOLS)) $(call LEFT_OUT,demo and bench,jansson) \
	  $(call LEFT_OUT,the software GPU,$(PKG_SOFT)) \
	  $(if $(HAVE_BPF),,printf '  left out: what BPF tells (needs libbpf, clang, bpftool)\n';) \
	  $(if $(NVRTC_H),,printf '  left out: the NVRTC double (needs nvrtc.h)\n';) \
	  $(if $(CUPTI_H),,printf '  left out: the CUPTI double (needs cupti.h)\n';) :

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install what is missing: Debian packages by name, CUDA headers and nvcc
	$(Q)./packaging/deps.sh
	$(Q)./packaging/deps.sh --test

demo: ## set up, build, run the main job, print the table
	$(Q)./packaging/deps.sh
	$(Q)$(MAKE) --no-print-directory $(JOBS) all
	$(Q)$(B)/workloads/demo --out $(B)/demo

test: deps ## set up, build, run all tests
	$(Q)$(MAKE) --no-print-directory $(JOBS) all tests
	$(Q)tests/run.sh $(B) $(UNIT) $(PROCESS)

tests: $(UNIT) $(PROCESS) $(PRELOAD) $(CLIENTS) $(KERNELS) $(CUDART_TESTS) $(filter $(B)/gpu/cudart/rt_%-shared,$(CUDART)) \
       $(PROBES) $(RECORD) $(B)/tests/reind-bad

# not in `make test`: tests/process/test_torch.c takes it if it is there, else REIN_TORCH_PYTHON
torch: ## PyTorch from PyPI, its build for CUDA 13, for the tests: about 5 GiB
	$(Q)[ -x $(B)/torch/bin/pip ] || $(PYTHON) -m venv $(B)/torch
	$(Q)$(B)/torch/bin/pip --disable-pip-version-check install -q "torch==2.11.*" numpy

samples: all ## SAMPLES=DIR: build CUDA samples there as they are, run each bare and under the shim
	$(if $(SAMPLES),,$(error SAMPLES names no folder; say make samples SAMPLES=cuda-samples/Samples))
	$(Q)tests/samples/run.sh $(B) $(SAMPLES)

bench: all ## added time per launch and what else this machine can measure
	$(Q)for b in bench $(BENCHES); do $(B)/workloads/$$b --out $(B)/bench || exit; done

# With a GPU it takes the machine as it is; without one the software GPU's libraries are needed.
gpu-check: $(if $(wildcard /dev/nvidiactl /dev/dxg),,deps) ## learn from this machine's GPU; STAGES="a b" runs some
	$(Q)since=$$(date +%s); log=$(B)/gpu/build.log; mkdir -p $(B)/gpu; \
	echo "  building the probes ($$(nproc) cores), log in $$log"; \
	$(MAKE) --no-print-directory $(JOBS) -k gpu-parts WERROR= >$$log 2>&1; \
	grep '^  left out' $$log; \
	exec $(PYTHON) workloads/gpu/check.py --build $(B) --have "$(HAVE)" --since $$since \
	  --stages "$(STAGES)" $(if $(OUT_DIR),--out "$(OUT_DIR)") $(if $(LIMIT_S),--limit $(LIMIT_S)) \
	  --not-built "$$(for f in $(GPU_PARTS); do [ -e $$f ] || echo $${f#$(B)/}; done)"
gpu-parts: $(GPU_PARTS) left-out

# ---- generated from cuda.h and interpose/entries.tbl
$(B)/gen/stamp: interpose/gen.py interpose/entries.tbl $(CUDA_DIR)/include/cuda.h
	$(call say,GEN,$(B)/gen)
	$(Q)$(PYTHON) interpose/gen.py --cc "$(CC)" --include $(CUDA_DIR)/include --out $(@D)
	$(Q)touch $@
$(GEN): $(B)/gen/stamp ;

# ---- objects
$(B)/obj/%.o: %.c $(B)/gen/stamp
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(call pkg_cflags,$(PKG_DAEMON) $(PKG_TOOLS)) -MMD -MP -c -o $@ $<
$(B)/obj/gen/%.o: $(B)/gen/%.c $(B)/gen/stamp
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -I. -Iinterpose -MMD -MP -c -o $@ $<
$(B)/obj/gen/hooks.o: ALL_CFLAGS += -fno-semantic-interposition
-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- eBPF programs, as headers that hold them
BPF_ARCH := $(if $(filter aarch64,$(shell uname -m)),arm64,x86)
BPF_SKEL := $(patsubst profiler/bpf/%.bpf.c,$(B)/gen/%.skel.h,$(wildcard profiler/bpf/*.bpf.c))
$(B)/obj/profiler/bpf/%.bpf.o: profiler/bpf/%.bpf.c $(wildcard profiler/bpf/*.h) common/doing.h
	$(call say,BPF,$<)
	$(Q)$(BPF_CLANG) -target bpf -D__TARGET_ARCH_$(BPF_ARCH) -ffreestanding -g -O2 -Wall -Wextra \
	  -Wno-unused-parameter -Wno-missing-declarations $(WERROR) -c -o $@ $<
$(B)/gen/%.skel.h: $(B)/obj/profiler/bpf/%.bpf.o
	$(call say,GEN,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name rein_$* >$@
$(if $(HAVE_BPF),$(call obj,$(call src,profiler/bpf)): | $(BPF_SKEL))

# the page that is in the program
$(B)/obj/profiler/report_page.o: profiler/report.html

# ---- archives, one a folder, for programs and unit tests
lib     = $(patsubst %,$(B)/lib/%.a,$(subst /,-,$(1)))
WL_LIB  = $(call lib,workloads/lib common)
GPU_LIB = $(call lib,workloads/gpu/lib) $(WL_LIB)
define archive
$(call lib,$(1)): $(call obj,$(filter-out %/main.c %/asm_%.c,$(call src,$(1))))
	$$(call say,AR,$$@)
	$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call archive,$(f))))
$(B)/lib/interpose.a: $(B)/obj/gen/hooks.o
$(B)/lib/profiler.a: $(call obj,$(call src,profiler/bpf))

# ---- products
$(B)/librein.so: $(call obj,$(call src,interpose) $(call src,common)) $(B)/obj/gen/hooks.o
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $^ -Wl,--version-script=$(B)/gen/exports.map -Wl,-soname,librein.so \
	  -Wl,-z,nodelete -Wl,-z,now -Wl,--no-undefined -Wl,--as-needed $(ALL_LDFLAGS)
# the CUPTI agent: librein.so opens it on demand
$(B)/librein-cupti.so: $(call obj,$(call src,profiler/cupti)) profiler/cupti/exports.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $(filter %.o,$^) -Wl,-soname,$(@F) -Wl,-Bsymbolic -Wl,--no-undefined \
	  -Wl,--version-script=profiler/cupti/exports.map -Wl,-z,nodelete -Wl,-z,now -Wl,--as-needed $(ALL_LDFLAGS)
# the same hooks as a driver of their own, for LD_LIBRARY_PATH
STANDIN_OBJ = $(call obj,$(filter-out interpose/preload.c interpose/asm_dlsym.c,$(call src,interpose)) \
                $(call src,interpose/standin) $(call src,common)) $(addprefix $(B)/obj/gen/,hooks.o standin_calls.o)
$(B)/libcuda.so.1: $(STANDIN_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $^ -Wl,--version-script=$(B)/gen/standin.map -Wl,-soname,libcuda.so.1 \
	  -Wl,-Bsymbolic -Wl,-z,nodelete -Wl,-z,now -Wl,--no-undefined -Wl,--as-needed $(ALL_LDFLAGS)
$(B)/softgpu/libcuda.so.1: $(call obj,$(call src,softgpu)) $(B)/obj/gen/softgpu_missing.o $(call lib,common)
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $^ -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic -Wl,--no-undefined \
	  -Wl,-z,nodelete $(call pkg_libs,$(PKG_SOFT)) -lm -lpthread $(ALL_LDFLAGS)
	$(Q)ln -sf libcuda.so.1 $(@D)/libcuda.so
# the runtime library, and a twin to link in: unsanitized, as the programs are
CUDART_OBJ = $(call obj,$(call src,softgpu/cudart)) $(B)/obj/gen/cudart_calls.o
CUDART_GEN := $(addprefix $(B)/gen/,cudart_driver.h cudart_calls.h cudart_calls.c)
$(B)/gen/cudart.stamp: softgpu/cudart/gen_cudart.py $(wildcard softgpu/cudart/*.tbl) $(B)/gen/stamp
	$(call say,GEN,$(B)/gen/cudart_*)
	$(Q)$(PYTHON) $< --cc "$(CC)" --include $(CUDA_DIR)/include --out $(@D)
	$(Q)touch $@
$(CUDART_GEN): $(B)/gen/cudart.stamp ;
$(CUDART_OBJ): SAN_$(SAN) :=
$(CUDART_OBJ): | $(CUDART_GEN)
$(B)/softgpu/libcudart.so.13: $(CUDART_OBJ) softgpu/cudart/exports.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $(filter %.o,$^) -Wl,-soname,$(@F) -Wl,-Bsymbolic -Wl,--no-undefined \
	  -Wl,--version-script=softgpu/cudart/exports.map -Wl,-z,nodelete -ldl -lpthread $(LDFLAGS)
	$(Q)ln -sf $(@F) $(@D)/libcudart.so
$(B)/softgpu/libcudart_static.a: $(CUDART_OBJ)
	$(call say,AR,$@)
	$(Q)$(CC) -r -nostdlib -o $(B)/obj/cudart.o $^ && objcopy --localize-hidden $(B)/obj/cudart.o
	$(Q)rm -f $@ && ar rcs $@ $(B)/obj/cudart.o
$(B)/obj/softgpu/cupti/%.o: ALL_CFLAGS += -isystem $(dir $(CUPTI_H))
$(SOFTCUPTI): $(call obj,$(call src,softgpu/cupti)) softgpu/cupti/exports.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $(filter %.o,$^) -Wl,-soname,$(@F) -Wl,-Bsymbolic -Wl,--no-undefined \
	  -Wl,--version-script=softgpu/cupti/exports.map -Wl,-z,nodelete -ldl -lpthread $(ALL_LDFLAGS)
	$(Q)ln -sf $(@F) $(@D)/libcupti.so
$(B)/obj/softgpu/nvrtc/%.o: ALL_CFLAGS += -DSOFTGPU_TOOLKIT='"$(abspath $(CUDA_DIR))"'
$(SOFTNVRTC): $(call obj,$(call src,softgpu/nvrtc)) softgpu/nvrtc/exports.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $(filter %.o,$^) -Wl,-soname,$(@F) -Wl,-Bsymbolic -Wl,--no-undefined \
	  -Wl,--version-script=softgpu/nvrtc/exports.map -Wl,-z,nodelete -ldl -lpthread $(ALL_LDFLAGS)
$(B)/reind: $(call obj,$(call src,daemon)) $(call lib,profiler policy common)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(call pkg_libs,$(PKG_DAEMON)) -lpthread $(ALL_LDFLAGS)
# the daemon with policies that fail on purpose
$(B)/obj/tests/policies/%.o: ALL_CFLAGS += -I.
$(B)/tests/reind-bad: $(call obj,$(call src,daemon) $(call src,tests/policies)) $(call lib,profiler policy common)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(call pkg_libs,$(PKG_DAEMON)) -lpthread $(ALL_LDFLAGS)
$(B)/rein: $(call obj,$(call src,tools)) $(call lib,profiler policy/sim policy common)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ $(call pkg_libs,$(PKG_TOOLS)) -lm $(ALL_LDFLAGS)

# ---- workloads: CUDA programs that know nothing of rein; each links libcuda.so.1 by name only, found
# in the toolkit's stub, else the software GPU, else the recorder, which exports the same functions
LIBCUDA   = $(or $(wildcard $(CUDA_DIR)/lib64/stubs/libcuda.so),$(SOFTGPU),$(B)/record/libcuda.so.1)
CUDA_LINK = -Wl,--as-needed $(LIBCUDA) -Wl,--allow-shlib-undefined
# PTX for every GPU and for the software one; machine code so that nothing is compiled at its start
FAT_ARCH ?= -gencode arch=compute_75,code=compute_75 -gencode arch=compute_90,code=sm_90
fatbin    = $(NVCC) -fatbin -Wno-deprecated-gpu-targets $(FAT_ARCH) -o $@ $<
$(B)/workloads/%.fatbin: workloads/%.cu
	$(call say,NVCC,$<)
	$(Q)$(fatbin)
$(addprefix $(B)/workloads/,lc be): $(B)/workloads/%: $(B)/obj/workloads/%.o $(WL_LIB) \
    $(B)/workloads/kernels.fatbin $(LIBCUDA)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) $(CUDA_LINK) -lm -lpthread $(ALL_LDFLAGS)
$(addprefix $(B)/workloads/,demo bench $(filter-out bench_softgpu,$(BENCHES))): $(B)/workloads/%: \
    $(B)/obj/workloads/%.o $(call lib,profiler policy/sim policy) $(WL_LIB)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) $(call pkg_libs,$(PKG_DAEMON)) -lm -lpthread -ldl $(ALL_LDFLAGS)
$(B)/obj/workloads/bench_softgpu.o: ALL_CFLAGS += -I. -DBENCH_FATBIN='"$(B)/workloads/bench_softgpu.fatbin"'
$(B)/obj/workloads/bench_softgpu.o: $(B)/workloads/bench_softgpu.fatbin
$(B)/workloads/bench_softgpu: $(B)/obj/workloads/bench_softgpu.o $(WL_LIB) $(call lib,softgpu common) $(SOFTGPU)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) -ljansson $(call pkg_libs,$(PKG_SOFT)) -lm -lpthread -ldl $(ALL_LDFLAGS)
$(B)/workloads/enemy: $(call obj,$(wildcard workloads/enemies/*.c))
$(B)/workloads/urgent: $(call obj,workloads/enemies/stamps.c)
$(addprefix $(B)/workloads/,enemy urgent): $(B)/workloads/%: $(B)/obj/workloads/%.o $(GPU_LIB) $(LIBCUDA)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(CUDA_LINK) -lm -lpthread $(ALL_LDFLAGS)
ENEMY_OBJ = $(call obj,workloads/enemy.c workloads/urgent.c workloads/enemies/stamps.c)
$(ENEMY_OBJ): ALL_CFLAGS += -DENEMY_FATBIN='"$(B)/workloads/enemies/kernels.fatbin"' -DGPU_FATBIN='"$(B)/gpu/kernels.fatbin"'
$(ENEMY_OBJ): $(B)/workloads/enemies/kernels.fatbin $(B)/gpu/kernels.fatbin
$(addprefix $(B)/workloads/,$(CU)): $(B)/workloads/%: workloads/%.cu $(B)/workloads/%.fatbin \
    $(LIBCUDA) $(WL_LIB)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -DFATBIN='"$(B)/workloads/$*.fatbin"' -x c $< -x none $(WL_LIB) \
	  -o $@ $(CUDA_LINK) -lm $(ALL_LDFLAGS)
$(B)/obj/workloads/%.o: ALL_CFLAGS += -DFATBIN='"$(B)/workloads/kernels.fatbin"'
$(B)/obj/workloads/lc.o $(B)/obj/workloads/be.o: $(B)/workloads/kernels.fatbin
$(B)/workloads/null/libcuda.so.1: workloads/null/driver.c $(B)/gen/stamp
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -shared -o $@ $< -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic $(ALL_LDFLAGS)

# ---- probes of gpu-check
$(B)/gpu/kernels.fatbin: workloads/gpu/kernels.cu
	$(call say,NVCC,$<)
	$(Q)$(fatbin)
$(B)/obj/workloads/gpu/%.o: ALL_CFLAGS += -DGPU_FATBIN='"$(B)/gpu/kernels.fatbin"'
$(filter-out %.so,$(PROBES)): $(B)/gpu/%: $(B)/obj/workloads/gpu/%.o $(GPU_LIB) $(LIBCUDA)
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) $(CUDA_LINK) -ldl -lm -lpthread $(ALL_LDFLAGS)
$(patsubst $(B)/%,$(B)/obj/workloads/%.o,$(filter-out %.so,$(PROBES))): $(B)/gpu/kernels.fatbin
# preloaded into other people's processes, so never sanitized
$(B)/gpu/preload/%.so: workloads/gpu/preload/%.c $(wildcard workloads/gpu/lib/rm*.[ch]) softgpu/rm_double.h common/rm.h
	$(call say,CC,$<)
	$(Q)$(CC) $(filter-out $(SAN_$(SAN)),$(ALL_CFLAGS)) -shared -o $@ $(filter %.c,$^) -ldl -lpthread $(LDFLAGS)
# runtime-API programs; "// NVCC: …" and "// LINK: …" in the first lines are their options
nvcc_option = $(shell sed -n '1,10s|^// $(1): ||p' $(2))
CUDA_ARCH ?= -gencode arch=compute_80,code=compute_80 -gencode arch=compute_90,code=sm_90
define cudart
$(B)/gpu/cudart/%-$(1): workloads/gpu/cudart/%.cu workloads/gpu/cudart/rt.h
	$$(call say,NVCC,$$@)
	$$(Q)$$(NVCC) -O2 $$(CUDA_ARCH) $$(call nvcc_option,NVCC,$$<) -cudart $(1) -o $$@ $$< \
	  $$(call nvcc_option,LINK,$$<) -Xlinker -rpath -Xlinker $$(CUDA_DIR)/lib64
endef
$(foreach s,static shared,$(eval $(call cudart,$(s))))

# ---- the recorder: a proxy libcuda.so.1, and the program that issues what it wrote again
REC_GEN := $(addprefix $(B)/gen/,record_table.c record_hooks.c replay_calls.c)
$(B)/gen/record.stamp: workloads/record/gen_record.py $(B)/gen/stamp
	$(call say,GEN,$(REC_GEN))
	$(Q)$(PYTHON) $< --cc "$(CC)" --include $(CUDA_DIR)/include --out $(@D)
	$(Q)touch $@
$(REC_GEN): $(B)/gen/record.stamp ;
$(B)/record/libcuda.so.1: $(call obj,$(addprefix workloads/record/,record.c format.c kernels.c)) \
    $(B)/obj/gen/record_table.o $(B)/obj/gen/record_hooks.o
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $^ -Wl,-soname,libcuda.so.1 -Wl,-Bsymbolic -Wl,-z,nodelete \
	  -Wl,--no-undefined -ldl -lpthread $(ALL_LDFLAGS)
$(B)/record/replay: $(call obj,$(wildcard workloads/record/replay*.c)) \
    $(B)/obj/gen/record_table.o $(B)/obj/gen/replay_calls.o
	$(call say,LD,$@)
	$(Q)$(CC) -o $@ $^ -ldl -lpthread $(ALL_LDFLAGS)

# ---- tests: unit tests link archives; process tests run the products
HARNESS   = tests/harness.c tests/harness.h tests/rig.c tests/rig.h
TEST_LIBS = $(call lib,daemon tools profiler profiler/cupti policy/sim policy softgpu interpose workloads/gpu/lib workloads/lib common)
# the software GPU defines the functions that the shim defines
$(B)/tests/unit/test_sg_%: TEST_LIBS := $(filter-out %/interpose.a,$(TEST_LIBS))
$(B)/tests/%: tests/%.c $(HARNESS) $(TEST_LIBS) $(PRODUCTS)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(call pkg_cflags,$(PKG_TEST)) -I. -DBUILD_DIR='"$(B)"' -o $@ $< \
	  $(filter tests/%.c,$(HARNESS)) -Wl,--start-group $(TEST_LIBS) -Wl,--end-group \
	  $(call pkg_libs,$(PKG_TEST) $(PKG_DAEMON) $(PKG_TOOLS) $(PKG_SOFT)) -lm -lpthread $(ALL_LDFLAGS)
CUDART_SRC = $(wildcard tests/cudart/*) $(SOFTCUDART) $(SOFTNVRTC)
$(B)/tests/cudart/%-static: tests/cudart/%.cu $(CUDART_SRC)
	$(call say,NVCC,$@)
	$(Q)NVCC_APPEND_FLAGS=-L$(B)/softgpu $(NVCC) -Wno-deprecated-gpu-targets $(call nvcc_option,NVCC,$<) \
	  -cudart static -o $@ $<
$(B)/tests/cudart/%: tests/cudart/%.cu $(CUDART_SRC)
	$(call say,NVCC,$@)
	$(Q)$(NVCC) -Wno-deprecated-gpu-targets $(call nvcc_option,NVCC,$<) -cudart shared -L$(B)/softgpu \
	  -o $@ $< $(call nvcc_option,LINK,$<)
$(KERNELS): FAT_ARCH := -gencode arch=compute_80,code=compute_80
$(KERNELS): $(B)/tests/%.fatbin: tests/%.cu
	$(call say,NVCC,$<)
	$(Q)$(fatbin)
# other people's libraries: never sanitized, whatever is preloaded beside them
$(B)/tests/preload/%.so: tests/preload/%.c $(wildcard tests/preload/*.c) tests/clients/resolve.h
	$(call say,CC,$<)
	$(Q)$(CC) $(filter-out $(SAN_$(SAN)),$(ALL_CFLAGS)) -O0 -shared -o $@ $< $(LDFLAGS)
$(B)/tests/clients/%: tests/clients/%.c $(wildcard tests/clients/*.h) $(LIBCUDA) | $(B)/gen/stamp
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(CUDA_LINK) -lm -lpthread $(ALL_LDFLAGS)

$(addprefix $(B)/tests/clients/,late request request_dlopen): include/rein.h
$(B)/tests/clients/random_program: $(wildcard tests/clients/random/*.h)

# ---- hygiene
C_FILES = $(shell git ls-files -co --exclude-standard '*.c' '*.h' 2>/dev/null)
lint: all ## clang-tidy, cppcheck, shellcheck, format, exported symbols, unclassified entry points
	$(Q)tests/lint/lint.sh $(B) $(CUDA_DIR)
fmt: ## format the C files
	$(Q)clang-format -i $(C_FILES)
fuzz: all ## fuzz each parser (or FUZZ="ptx image") for FUZZ_SECONDS (default 60) each
	$(Q)tests/fuzz/fuzz.sh $(B)
install: all ## copy to $(DESTDIR)$(PREFIX)
	$(Q)packaging/install.sh $(B) "$(DESTDIR)$(PREFIX)"
clean: ## remove build/
	rm -rf build
