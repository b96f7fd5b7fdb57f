# SPDX-License-Identifier: Apache-2.0
"""The networks of the PyTorch programs: ResNet-50 and a small decoder, with random weights from
fixed seeds. Nothing is downloaded."""

import os

import torch
from torch import nn
from torch.nn import functional as F


def prepare(device, exact):
    """Seeds and settings, before the first model. exact: bit for bit the same results in every
    run, as far as PyTorch can; otherwise what a user gets, but for cuDNN's search by trial, which
    could choose different kernels in two processes that are to be compared."""
    if exact:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = exact
    torch.backends.cudnn.benchmark = False
    torch.manual_seed(1)
    device = torch.device(device)
    if device.type == "cpu":
        torch.set_num_threads(1)  # several of these programs share a small machine in a trial
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no usable CUDA GPU; give --device cpu to try the logic")
    return device


def half(device):
    """The type of inference: fp16 on a GPU; CPUs are slow with it."""
    return torch.float16 if device.type == "cuda" else torch.float32


class Bottleneck(nn.Module):
    def __init__(self, inside, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inside != 4 * width:
            self.downsample = nn.Sequential(nn.Conv2d(inside, 4 * width, 1, stride, bias=False),
                                            nn.BatchNorm2d(4 * width))
        # a random network without trained statistics would grow from block to block
        nn.init.constant_(self.bn3.weight, 0.2)

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ResNet50(nn.Module):
    """ResNet-50, v1.5 (He et al., arXiv:1512.03385, with the stride in the 3×3 convolution), layer
    by layer and name by name the torchvision.models.resnet50, without needing torchvision."""

    def __init__(self, classes=1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inside = 64
        for i, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
            layer = []
            for b in range(blocks):
                layer.append(Bottleneck(inside, width, 2 if i > 0 and b == 0 else 1))
                inside = 4 * width
            setattr(self, f"layer{i + 1}", nn.Sequential(*layer))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inside, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Block(nn.Module):
    """A layer of the decoder with its part of the key-value cache."""

    def __init__(self, width, heads, room):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.register_buffer("keys", torch.zeros(1, heads, room, width // heads))
        self.register_buffer("values", torch.zeros(1, heads, room, width // heads))

    def split(self, x):
        batch, length, width = x.shape
        heads = (part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
                 for part in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        return tuple(heads)

    def finish(self, x, attended):
        x = x + self.out(attended.transpose(1, 2).reshape(x.shape))
        return x + self.down(F.gelu(self.up(self.norm2(x))))

    def prefill(self, x):
        q, k, v = self.split(x)
        self.keys[:, :, :x.shape[1]] = k
        self.values[:, :, :x.shape[1]] = v
        return self.finish(x, F.scaled_dot_product_attention(q, k, v, is_causal=True))

    def step(self, x, here, seen):
        """One token; here, seen: masks of the cache's places, this one and all up to it."""
        q, k, v = self.split(x)
        self.keys.copy_(torch.where(here, k, self.keys))
        self.values.copy_(torch.where(here, v, self.values))
        return self.finish(x, F.scaled_dot_product_attention(q, self.keys, self.values,
                                                             attn_mask=seen))


class Decoder(nn.Module):
    """GPT-like (pre-norm, learnt positions), batch 1, greedy. The token and its
    position stay on the GPU and a step has fixed shapes, so that it can be captured in a graph:
    begin() takes a prompt, each advance() puts the next token into self.token."""

    def __init__(self, layers=12, width=768, heads=12, vocabulary=32000, room=64):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(room, width)
        self.blocks = nn.ModuleList(Block(width, heads, room) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.register_buffer("token", torch.zeros(1, dtype=torch.long))
        self.register_buffer("position", torch.zeros(1, dtype=torch.long))
        self.register_buffer("places", torch.arange(room))
        for module in self.modules():  # so that the text varies, in the range of fp16
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features ** -0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def choose(self, x):
        self.token.copy_(self.head(self.norm(x[:, -1])).argmax(dim=-1))

    def begin(self, prompt):
        """prompt: tokens, shape (1, n)."""
        length = prompt.shape[1]
        x = self.embed(prompt) + self.positions(self.places[:length])
        for block in self.blocks:
            x = block.prefill(x)
        self.choose(x)
        self.position.fill_(length)

    def advance(self):
        x = (self.embed(self.token) + self.positions(self.position)).unsqueeze(0)
        here = (self.places == self.position).view(1, 1, -1, 1)
        seen = (self.places <= self.position).view(1, 1, 1, -1)
        for block in self.blocks:
            x = block.step(x, here, seen)
        self.choose(x)
        self.position.add_(1)
