# SPDX-License-Identifier: Apache-2.0
"""Builds a small TensorRT engine (once: the file is kept), runs it on fixed input, eagerly and as
a CUDA graph, and prints one line with a digest of the output. The smoke stage runs it without and
with the shim and compares the lines.

usage: smoke_tensorrt.py ENGINE-FILE"""

import hashlib
import os
import signal
import sys

import tensorrt as trt
import torch

LIMIT_S = 60
ROWS, COLUMNS = 64, 256


def build(path, log):
    builder = trt.Builder(log)
    network = builder.create_network(0)
    generator = torch.Generator().manual_seed(1)
    x = network.add_input("x", trt.float32, (ROWS, COLUMNS))
    keep = []  # the weights' memory must outlive the build
    for _ in range(3):
        weights = torch.randn(COLUMNS, COLUMNS, generator=generator).div(16).numpy()
        keep.append(weights)
        w = network.add_constant((COLUMNS, COLUMNS), trt.Weights(weights)).get_output(0)
        none = trt.MatrixOperation.NONE
        x = network.add_matrix_multiply(x, none, w, none).get_output(0)
        x = network.add_activation(x, trt.ActivationType.RELU).get_output(0)
    x.name = "y"
    network.mark_output(x)
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    if plan is None:
        sys.exit("smoke_tensorrt: the engine could not be built")
    with open(path, "wb") as f:
        f.write(plan)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.splitlines()[-1])
    signal.alarm(LIMIT_S)
    log = trt.Logger(trt.Logger.ERROR)
    if not os.path.exists(sys.argv[1]):
        build(sys.argv[1], log)
    with open(sys.argv[1], "rb") as f:
        engine = trt.Runtime(log).deserialize_cuda_engine(f.read())
    context = engine.create_execution_context()
    x = torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(2)).cuda()
    y = torch.zeros(ROWS, COLUMNS, device="cuda")
    context.set_tensor_address("x", x.data_ptr())
    context.set_tensor_address("y", y.data_ptr())
    stream = torch.cuda.Stream()
    torch.cuda.synchronize()
    digest = hashlib.sha256()
    for _ in range(20):
        if not context.execute_async_v3(stream.cuda_stream):
            sys.exit("smoke_tensorrt: the engine did not run")
        stream.synchronize()
        digest.update(y.cpu().numpy().tobytes())
    graph = torch.cuda.CUDAGraph()
    y.zero_()
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=stream):
        context.execute_async_v3(stream.cuda_stream)
    for _ in range(20):
        graph.replay()
    torch.cuda.synchronize()
    digest.update(y.cpu().numpy().tobytes())
    print(f"TensorRT {trt.__version__}: {digest.hexdigest()}", flush=True)


if __name__ == "__main__":
    main()
