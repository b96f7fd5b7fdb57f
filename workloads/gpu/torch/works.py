# SPDX-License-Identifier: Apache-2.0
"""What the PyTorch programs do again and again: requests of a latency-critical program, which end
when their result is on the host, and steps of a best-effort one, which only queue work.

Sizes can be made small, to try the logic on a CPU."""

import torch
from torch.nn import functional as F

from models import Decoder, ResNet50, half
from peer import now_ns, say

WARM_UPS = 3  # first calls load kernels, choose algorithms and grow the allocator's pools
PROMPT = 8    # tokens
PREFERRED = {"image": 224, "layers": 12, "width": 768, "tokens": 16, "batch": 160}
TINY = {"image": 32, "layers": 2, "width": 64, "tokens": 4, "batch": 2}


def add_sizes(parser):
    """Options for the sizes; --tiny is for trying the logic."""
    parser.add_argument("--tiny", action="store_true", help="small sizes, for trials on a CPU")
    for name, value in PREFERRED.items():
        parser.add_argument(f"--{name}", type=int, metavar="N",
                            help=f"default {value}, tiny {TINY[name]}")


def take_sizes(args):
    """Fills in what was not given."""
    for name in PREFERRED:
        if getattr(args, name) is None:
            setattr(args, name, (TINY if args.tiny else PREFERRED)[name])
    return args


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Mark:
    """Set at the end of what was queued so far; a CPU has done it already."""

    def __init__(self, device):
        self.event = torch.cuda.Event() if device.type == "cuda" else None
        if self.event:
            self.event.record()

    def wait(self):
        if self.event:
            self.event.synchronize()


def capture(function):
    """A CUDA graph of what the function queues, after warm-ups on a side stream; its replay."""
    if not torch.cuda.is_available():
        raise RuntimeError("a CUDA graph needs a CUDA device")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            function()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    return graph.replay


class ResnetInference:
    """ResNet-50, one image: input to the GPU, forward, output back."""

    def __init__(self, device, args, graph=False):
        pin = device.type == "cuda"
        self.device = device
        self.model = ResNet50().to(device, half(device)).eval()
        shape = (1, 3, args.image, args.image)
        self.host_in = torch.randn(shape).to(half(device))
        self.host_out = torch.empty(1, 1000, dtype=half(device))
        if pin:
            self.host_in, self.host_out = self.host_in.pin_memory(), self.host_out.pin_memory()
        self.input = torch.empty_like(self.host_in, device=device)
        self.output = None
        self.forward = self.eager
        if graph:
            with torch.no_grad():
                self.forward = capture(self.eager)

    def eager(self):
        self.output = self.model(self.input)

    @torch.no_grad()
    def request(self):
        self.input.copy_(self.host_in, non_blocking=True)
        self.forward()
        self.host_out.copy_(self.output, non_blocking=True)
        synchronize(self.device)


class DecoderGeneration:
    """A short prompt, then tokens one by one; each is read by the host, as a server does that
    looks for the end of the text."""

    def __init__(self, device, args, graph=False):
        heads = max(args.width // 64, 1)
        self.tokens = args.tokens
        vocabulary = 32000 if args.width >= 512 else 256
        self.model = Decoder(args.layers, args.width, heads, vocabulary, PROMPT + args.tokens)
        self.model = self.model.to(device, half(device)).eval()
        self.prompt = torch.arange(1, PROMPT + 1, device=device).view(1, -1)
        self.begin, self.advance = self.eager_begin, self.model.advance
        if graph:
            with torch.no_grad():
                self.begin = capture(self.eager_begin)
                # warm-ups of the step must not run past the cache's end
                self.model.position.fill_(PROMPT)
                self.advance = capture(self.limited_advance)
        self.text = []

    def eager_begin(self):
        self.model.begin(self.prompt)

    def limited_advance(self):
        self.model.advance()
        self.model.position.clamp_(max=PROMPT + self.tokens - 1)

    @torch.no_grad()
    def request(self):
        self.begin()
        self.text = [self.model.token.item()]
        for _ in range(self.tokens - 1):
            self.advance()
            self.text.append(self.model.token.item())


class ResnetTraining:
    """A step of SGD on ResNet-50 with mixed precision, one batch of random images that stays on
    the GPU. step() only queues."""

    def __init__(self, device, args):
        self.device = device
        self.model = ResNet50().to(device).train()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)
        self.images = torch.randn(args.batch, 3, args.image, args.image, device=device)
        self.labels = torch.randint(0, 1000, (args.batch,), device=device)

    def step(self):
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = F.cross_entropy(self.model(self.images), self.labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def request(self):
        self.step()
        synchronize(self.device)


class Gemm:
    """One square matrix product: one kernel, as long as asked for. size: calibrated if None."""

    GRAIN = 128
    SIZE_MAX = 40960

    def __init__(self, device, kernel_ms, size=None):
        self.device = device
        self.type = half(device)
        self.kernel_ms = None
        self.allocate(size or self.calibrate(kernel_ms))
        self.kernel_ms = self.time_ms()
        say(f"a product of {self.size}×{self.size} takes {self.kernel_ms:.3f} ms")

    def allocate(self, size):
        self.a = self.b = self.c = None  # give back before taking
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.size = size
        self.a = torch.randn(size, size, device=self.device).to(self.type)
        self.b = torch.randn(size, size, device=self.device).to(self.type)
        self.c = torch.empty(size, size, device=self.device, dtype=self.type)

    def time_ms(self):
        """The shortest of a few, after one that does not count."""
        best = float("inf")
        for i in range(4):
            synchronize(self.device)
            begin = now_ns()
            self.step()
            synchronize(self.device)
            if i:
                best = min(best, (now_ns() - begin) / 1e6)
        return best

    def calibrate(self, kernel_ms):
        """The time goes with the cube of the size."""
        limit = self.SIZE_MAX
        if self.device.type == "cuda":
            free = torch.cuda.mem_get_info(self.device)[0]
            limit = min(limit, int((0.3 * free / 8) ** 0.5))  # randn makes fp32 first
        size = 2048 if self.device.type == "cuda" else 256
        for _ in range(5):
            self.allocate(size)
            took = self.time_ms()
            if 0.95 <= took / kernel_ms <= 1.05:
                break
            wanted = size * (kernel_ms / took) ** (1 / 3)
            # a small product says little about a large one: at most 4 times at once
            wanted = min(wanted, 4 * size, limit)
            size = max(int(wanted / self.GRAIN + 0.5), 1) * self.GRAIN
        return size

    def step(self):
        torch.mm(self.a, self.b, out=self.c)
