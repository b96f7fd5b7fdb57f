# SPDX-License-Identifier: Apache-2.0
"""What PyTorch does on this machine's driver, a line for each step: its result, or its error with
the whole text. tests/process/test_torch.c compares runs with and without rein.

The software GPU loads no machine code, and PyTorch's own kernels are nothing else: these steps end
with an error, which must be the same one. Copies, streams, events, a kernel of ours in PTX and
kernels that PyTorch compiles when it needs them work.
The last line says what there is of rein in the process."""
import ctypes
import sys
import time

PTX = b"""
.version 7.0
.target sm_70
.address_size 64
.visible .entry twice_and_one(.param .u64 x) {
    .reg .b32 %r<2>;
    .reg .b64 %rd<3>;
    .reg .f32 %f<3>;
    ld.param.u64 %rd1, [x];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    add.u64 %rd1, %rd1, %rd2;
    ld.global.f32 %f1, [%rd1];
    fma.rn.f32 %f2, %f1, 0f40000000, 0f3F800000;
    st.global.f32 [%rd1], %f2;
    ret;
}
"""


def step(what, do):
    try:
        outcome = repr(do())
    except BaseException as error:  # its text is the outcome
        outcome = f"{type(error).__name__}: {error}"
    print(f"{what}: {outcome}", flush=True)


def import_torch():
    global torch
    import torch

    return torch.__version__, torch.version.cuda


def copies():
    return torch.arange(10.0).to("cuda").cpu().tolist()


def streams_and_events():
    stream, event = torch.cuda.Stream(), torch.cuda.Event()
    with torch.cuda.stream(stream):
        there = torch.arange(100.0).pin_memory().to("cuda", non_blocking=True)
        event.record()
    torch.cuda.current_stream().wait_event(event)
    again = there.clone()
    torch.cuda.synchronize()
    return event.query(), stream.query(), again.cpu().sum().item()


def kernel_of_ours():
    def ok(status):
        if status:
            raise RuntimeError(f"status {status}")

    driver = ctypes.CDLL("libcuda.so.1")
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    x = torch.arange(128.0).to("cuda")
    ok(driver.cuModuleLoadData(ctypes.byref(module), PTX))
    ok(driver.cuModuleGetFunction(ctypes.byref(function), module, b"twice_and_one"))
    pointer = ctypes.c_void_p(x.data_ptr())
    args = (ctypes.c_void_p * 1)(ctypes.addressof(pointer))
    stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
    for _ in range(3):
        ok(driver.cuLaunchKernel(function, 1, 1, 1, 128, 1, 1, 0, stream, args, None))
    return x.cpu().sum().item()


def compiled_kernel():
    scaled = torch.cuda.jiterator._create_jit_fn(
        "template <typename T> T scaled(T x, T y, T a) { return a * x + y; }", a=2.0)
    x = torch.arange(100.0).to("cuda")
    return scaled(x, x, a=3.0).cpu().sum().item(), torch.special.i1e(x).cpu()[0].item()


def graph():
    captured = torch.cuda.CUDAGraph()
    x, y = torch.arange(8.0).to("cuda"), torch.empty(8, device="cuda")
    with torch.cuda.graph(captured):
        y.copy_(x)
    captured.replay()
    return y.cpu().tolist()


def loader(pin):
    data = torch.utils.data.TensorDataset(torch.arange(100.0))
    batches = torch.utils.data.DataLoader(
        data, batch_size=8, num_workers=2, multiprocessing_context="fork", pin_memory=pin
    )
    return sum(batch.sum().item() for (batch,) in batches)


class OnTheGpu:
    def __len__(self):
        return 4

    def __getitem__(self, i):
        try:
            return torch.zeros(1, device="cuda").item() + i
        except RuntimeError as error:
            return str(error)


def forked_worker_with_cuda():
    batches = torch.utils.data.DataLoader(
        OnTheGpu(), batch_size=None, num_workers=1, multiprocessing_context="fork"
    )
    return list(batches)


class Api(ctypes.Structure):  # the start of include/rein.h's struct rein_api
    _fields_ = [
        ("version", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("present", ctypes.CFUNCTYPE(ctypes.c_int)),
        ("joined", ctypes.CFUNCTYPE(ctypes.c_int)),
    ]


def rein():
    for library in (None, "libcuda.so.1"):
        try:
            ask = ctypes.CDLL(library).rein_api
        except (AttributeError, OSError):
            continue
        ask.restype = ctypes.POINTER(Api)
        api = ask(1).contents
        for _ in range(10000):
            if api.joined():
                return "joined"
            time.sleep(0.001)
        return "present" if api.present() else "disabled"
    return "absent"


step("import", import_torch)
step("a DataLoader before CUDA", lambda: loader(False))
step("is_available", lambda: torch.cuda.is_available())
step("device_count", lambda: torch.cuda.device_count())
step("init", lambda: torch.cuda.init())
step("properties", lambda: torch.cuda.get_device_properties(0))
step("no such device", lambda: torch.cuda.get_device_properties(7))
step("memory", lambda: torch.cuda.mem_get_info())
step("an empty tensor", lambda: torch.empty(3, device="cuda").shape)
step("too large a tensor", lambda: torch.empty(1 << 42, device="cuda"))
step("copies", copies)
step("streams and events", streams_and_events)
step("a kernel in PTX", kernel_of_ours)
step("kernels compiled here", compiled_kernel)
step("a tensor of zeros", lambda: torch.zeros(3, device="cuda").tolist())
step("an element-wise kernel", lambda: (torch.arange(3.0).to("cuda") * 2).tolist())
step("a matrix product", lambda: (torch.ones(2, 2).to("cuda") @ torch.eye(2).to("cuda")).tolist())
step("a graph", graph)
step("a DataLoader after CUDA", lambda: loader(torch.cuda.is_available()))
step("CUDA in a forked worker", forked_worker_with_cuda)
if sys.argv[1:] == ["rein"]:
    step("rein", rein)
sys.exit(7)
