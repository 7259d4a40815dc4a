"""A single network whose step is one CUDA graph: nothing is launched but the graph."""

import torch
import torch.nn.functional as F
from torch import Tensor

from bench import images
from bench.learner import Advance, Start, batches, decline, each, lenet5
from bench.resident import as_floats
from bench.work import BATCH, DECAY, MOMENTUM, RATE

WARM_UP = 3
"""Steps before the capture, on a stream of their own, as PyTorch's notes ask for."""


def single(start: Start) -> Advance:
    """Gather, forward, backward and update, captured once; positions and rate go in by copy."""
    if start.device != "cuda":
        raise RuntimeError("a CUDA graph needs a CUDA device")
    pixels, labels = (x.to(start.device) for x in as_floats(*images.read(start.folder)))
    module = lenet5().to(start.device)
    rate = torch.tensor(RATE, device=start.device)
    optimizer = torch.optim.SGD(module.parameters(), rate, MOMENTUM, weight_decay=DECAY, fused=True)
    chosen = torch.arange(BATCH, device=start.device)
    stream = batches(len(labels), 1, start.device)

    def learn() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(module(pixels[chosen]), labels[chosen])
        loss.backward()
        optimizer.step()
        return loss.detach()

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            learn()
    torch.cuda.current_stream().wait_stream(aside)
    optimizer.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = learn()
    iteration = 0

    def step() -> Tensor:
        nonlocal iteration
        chosen.copy_(next(stream)[0])
        rate.fill_(RATE * decline(iteration))
        graph.replay()
        iteration += 1
        return loss

    return lambda steps: each(steps, step)
