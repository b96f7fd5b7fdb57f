# SPDX-License-Identifier: Apache-2.0
"""The cases of smoke_torch.py: a function each, that takes a Setting and returns tensors, or
raises Skip. Every case makes its own data from the seed it finds set."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

import torch
from torch import nn
from torch.nn import functional as F

import works
from models import Decoder, ResNet50, half

INEXACT = {"libraries", "compile"}  # results may differ in the last bits between two runs


class Skip(Exception):
    """Cannot be asked here; the text says why."""


class Digested:
    """The result of a case that another process ran."""

    def __init__(self, digest, stat):
        self.digest, self.stat = digest, stat


class Setting:
    def __init__(self, device, args):
        self.device = device
        self.cuda = device.type == "cuda"
        self.tiny = args.tiny
        self.compile_limit_s = args.compile_limit

    def need_cuda(self, what):
        if not self.cuda:
            raise Skip(f"{what} needs a CUDA device")

    def random(self, *shape, dtype=torch.float32):
        """From the CPU's generator, then brought to the device."""
        return torch.randn(shape).to(self.device, dtype)

    def pick(self, full, tiny):
        return tiny if self.tiny else full


def perceptron(s, width=256, classes=10):
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width),
                         nn.ReLU(), nn.Linear(width, classes)).to(s.device)


def small_conv(s):
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
                         nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(32, 10)).to(s.device)


# ---- one kernel library after the other

@torch.no_grad()
def conv(s):
    """cuDNN: single convolutions, and a ResNet-50 forward."""
    x = s.random(4, 16, 32, 32)
    results = [F.conv2d(x, s.random(24, 16, 5, 5), stride=2, padding=2),
               F.conv_transpose2d(x, s.random(16, 8, 3, 3), stride=2),
               F.conv2d(x, s.random(16, 1, 3, 3), padding=1, groups=16)]
    net = ResNet50().to(s.device).eval()
    size = s.pick(224, 32)
    results.append(net(s.random(2, 3, size, size)))
    net = net.to(half(s.device))
    results.append(net(s.random(2, 3, size, size, dtype=half(s.device))))
    return results


def matmul(s):
    """cuBLAS and cuBLASLt: types, batches, biases, long and thin."""
    n = s.pick(1024, 64)
    results = []
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        a, b = s.random(n, n, dtype=dtype), s.random(n, n, dtype=dtype)
        results += [a @ b, torch.addmm(a, a, b.t()),
                    torch.bmm(a.view(4, n // 4, n), b.expand(4, n, n)),
                    a[:8] @ b, F.linear(a, b, s.random(n, dtype=dtype))]
    return results


def sdpa(s):
    """Attention: whatever kernel PyTorch picks, then each by name."""
    shape = (2, 4, s.pick(256, 16), 64)
    q, k, v = (s.random(*shape, dtype=half(s.device)) for _ in range(3))
    results = [F.scaled_dot_product_attention(q, k, v, is_causal=True)]
    from torch.nn.attention import SDPBackend, sdpa_kernel
    backends = [SDPBackend.MATH]
    if s.cuda:
        backends += [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    for backend in backends:
        with sdpa_kernel(backend):
            results.append(F.scaled_dot_product_attention(q, k, v, is_causal=True))
    return results


def libraries(s):
    """cuFFT, cuSOLVER, cuSPARSE, cuRAND, CUB's sort and scan, and kernels built by NVRTC."""
    n = s.pick(512, 32)
    a = s.random(n, n, dtype=torch.float64)
    symmetric = a @ a.t() + n * torch.eye(n, device=s.device, dtype=torch.float64)
    generator = torch.Generator(s.device).manual_seed(7)
    sparse = (a * (a > 1)).to_sparse_csr()
    integers = torch.arange(1, n + 1, device=s.device)
    return [torch.view_as_real(torch.fft.fft(a)), torch.linalg.cholesky(symmetric),
            torch.linalg.solve(symmetric, a), sparse @ a,
            torch.rand(n, generator=generator, device=s.device), torch.sort(a, dim=1).values,
            torch.cumsum(integers, 0), torch.gcd(integers, integers.flip(0)),
            torch.special.erfcx(a[0]), torch.special.i1(a[0])]


# ---- training

def train(net, optimizer, batches, device_type, dtype=None, scaler=None):
    for images, labels in batches:
        with torch.autocast(device_type, dtype or torch.bfloat16, enabled=dtype is not None):
            loss = F.cross_entropy(net(images), labels)
        optimizer.zero_grad(set_to_none=True)
        if scaler:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        else:
            loss.backward()
            optimizer.step()
    return loss


def labels_for(s, n, classes=10):
    return torch.randint(0, classes, (n,)).to(s.device)


def autograd(s):
    """Three steps of SGD on ResNet-50; the results are the loss and all weights."""
    net = ResNet50(classes=10).to(s.device).train()
    size = s.pick(96, 32)
    batches = [(s.random(4, 3, size, size), labels_for(s, 4)) for _ in range(3)]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    loss = train(net, optimizer, batches, s.device.type)
    return [loss, list(net.parameters())]


def amp(s):
    """Mixed precision with a gradient scaler: fp16 on a GPU."""
    net = small_conv(s)
    batches = [(s.random(8, 3, 32, 32), labels_for(s, 8)) for _ in range(4)]
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    dtype = torch.float16 if s.cuda else torch.bfloat16
    scaler = torch.amp.GradScaler(s.device.type, enabled=s.cuda)
    loss = train(net, optimizer, batches, s.device.type, dtype, scaler)
    return [loss, list(net.parameters())]


class Images(torch.utils.data.Dataset):
    """Made in the worker from the index."""

    def __len__(self):
        return 32

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return torch.randn(3, 32, 32, generator=generator), index % 10


def dataloader(s):
    """Two workers, forked while the GPU is in use, and pinned memory feed training steps."""
    net = small_conv(s)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    loader = torch.utils.data.DataLoader(Images(), batch_size=8, num_workers=2, timeout=30,
                                         pin_memory=s.cuda, multiprocessing_context="fork")
    results = []
    for _ in range(2):  # the workers are forked twice
        batches = ((images.to(s.device, non_blocking=True),
                    labels.to(s.device, non_blocking=True)) for images, labels in loader)
        results.append(train(net, optimizer, batches, s.device.type))
    return [results, list(net.parameters())]


# ---- graphs and compilers

def graph(s):
    """Capture and replay: a network with new input each time, and a fork to a second stream."""
    s.need_cuda("a CUDA graph")
    net = perceptron(s).to(torch.float16).eval()
    x = s.random(32, 256, dtype=torch.float16)
    side = torch.cuda.Stream()
    holder = {}

    @torch.no_grad()
    def work():
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            squares = (x * x).sum(dim=1)
        y = net(x)
        torch.cuda.current_stream().wait_stream(side)
        holder["y"] = y.sum(dim=1) + squares

    replay = works.capture(work)
    results = []
    for _ in range(20):
        x.copy_(s.random(32, 256, dtype=torch.float16))
        replay()
        results.append(holder["y"].clone())
    return results


def graph_train(s):
    """A whole training step as a graph, replayed."""
    s.need_cuda("a CUDA graph")
    net = perceptron(s)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    x, labels = s.random(32, 256), labels_for(s, 32)
    replay = works.capture(lambda: train(net, optimizer, [(x, labels)], s.device.type))
    for _ in range(5):
        replay()
    return list(net.parameters())


class Late(BaseException):  # not an Exception: compilers catch those
    pass


def compile_case(s):
    """torch.compile of a small network, forward and backward: Triton, and the host's compiler. A
    failure to compile is a skip, for the machine may lack a compiler; so whoever compares two runs
    takes a skip in only one of them as a difference."""
    folder = tempfile.mkdtemp(prefix="smoke-compile-")
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        os.environ.setdefault(name, folder)  # the caller may keep one from run to run
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no pool of processes

    def late(*_):
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    was_left = signal.alarm(s.compile_limit_s)
    try:
        net = perceptron(s)
        compiled = torch.compile(net)
        x = s.random(32, 256)
        y = compiled(x)
        y.square().sum().backward()
        return [y, [p.grad for p in net.parameters()]]
    except Late:
        raise Skip(f"torch.compile took longer than {s.compile_limit_s} s") from None
    except Exception as e:
        if isinstance(e, torch.cuda.CudaError) or "CUDA error" in str(e):
            raise  # of the GPU's work, not of a missing compiler
        raise Skip("torch.compile does not work here: "
                   + f"{type(e).__name__}: {e}".replace("\n", " ")[:300]) from e
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        if was_left:
            signal.alarm(was_left)
        shutil.rmtree(folder, ignore_errors=True)


# ---- streams, threads, memory

def streams(s):
    """Side streams, events between them, pinned asynchronous copies in both directions."""
    s.need_cuda("a stream")
    n = s.pick(1 << 20, 1 << 12)
    side = [torch.cuda.Stream(priority=p) for p in (0, -1)]
    results = []
    for i in range(8):
        host = torch.randn(n).pin_memory()
        back = torch.empty(n).pin_memory()
        copied, done = torch.cuda.Event(), torch.cuda.Event(enable_timing=True)
        with torch.cuda.stream(side[i % 2]):
            x = host.to(s.device, non_blocking=True)
            copied.record()
        with torch.cuda.stream(side[(i + 1) % 2]):
            copied.wait()
            y = torch.sin(x) * 2 + i
            y.record_stream(side[i % 2])
            back.copy_(y, non_blocking=True)
            done.record()
        while not done.query():
            pass
        results.append(back.clone())
    torch.cuda.synchronize()
    return results


def threads(s):
    """Two threads that launch at the same time, each on its own stream."""
    inputs = [s.random(256, 256) / 16 for _ in range(2)]
    results, errors = [None, None], []

    def body(i):
        try:
            stream = torch.cuda.Stream() if s.cuda else None
            if stream:
                stream.wait_stream(torch.cuda.default_stream())
            with torch.cuda.stream(stream):
                x = inputs[i]
                for _ in range(200):
                    x = torch.tanh(x @ inputs[i]) + 0.01
                if stream:
                    stream.synchronize()
                results[i] = x
        except Exception as e:
            errors.append(e)

    workers = [threading.Thread(target=body, args=(i,)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]
    return results


def allocator(s):
    """Blocks of many sizes made and dropped, across two streams, and the cache given back."""
    side = torch.cuda.Stream() if s.cuda else None
    total = torch.zeros((), device=s.device, dtype=torch.float64)
    kept = []
    for i in range(200):
        x = torch.full((1 + (i * 7919) % s.pick(3_000_000, 3000),), float(i), device=s.device)
        if side:
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                y = x * 2
                x.record_stream(side)
            torch.cuda.current_stream().wait_stream(side)
            y.record_stream(torch.cuda.current_stream())
        else:
            y = x * 2
        total += y.sum(dtype=torch.float64)
        kept.append(y)
        if i % 3 == 0:
            del kept[0]
        if i % 50 == 49 and s.cuda:
            torch.cuda.empty_cache()
    return [total, [y[0] for y in kept]]


def other_allocator(conf):
    """The case above in a process of its own, whose allocator is set up differently."""
    def case(s):
        s.need_cuda("a choice of allocators")
        argv = [sys.executable, os.path.join(os.path.dirname(__file__), "smoke_torch.py"),
                "allocator", "--device", str(s.device), "--limit", "60"]
        argv += ["--tiny"] if s.tiny else []
        run = subprocess.run(argv, capture_output=True, text=True, timeout=70, check=False,
                             stdin=subprocess.DEVNULL,
                             env=os.environ | {"PYTORCH_CUDA_ALLOC_CONF": conf})
        lines = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
        if not lines or not lines[0].get("ok"):
            why = lines[0].get("error") if lines else run.stderr.strip()[-300:]
            raise RuntimeError(f"with {conf}: {why or f'status {run.returncode}'}")
        return Digested(lines[0]["digest"], lines[0]["stat"])

    return case


def decoder(s):
    """Greedy text from a small decoder, eagerly and, on a GPU, from graphs: the same tokens."""
    args = s.pick((12, 768, 12, 32000), (2, 64, 2, 256))
    net = Decoder(*args, room=48).to(s.device, half(s.device)).eval()
    prompt = torch.arange(1, 9, device=s.device).view(1, -1)

    def text(advance):
        net.begin(prompt)
        tokens = [net.token.item()]
        for _ in range(24):
            advance()
            tokens.append(net.token.item())
        return tokens

    with torch.no_grad():
        tokens = text(net.advance)
        if s.cuda:
            net.begin(prompt)
            replayed = text(works.capture(net.advance))
            if replayed != tokens:
                raise ArithmeticError(f"replayed: {replayed}, eager: {tokens}")
    return torch.tensor(tokens)


CASES = {
    "conv": conv,
    "matmul": matmul,
    "autograd": autograd,
    "graph": graph,
    "graph-train": graph_train,
    "dataloader": dataloader,
    "streams": streams,
    "threads": threads,
    "amp": amp,
    "sdpa": sdpa,
    "decoder": decoder,
    "libraries": libraries,
    "allocator": allocator,
    "allocator-async": other_allocator("backend:cudaMallocAsync"),
    "allocator-expandable": other_allocator("expandable_segments:True"),
    "compile": compile_case,
}
