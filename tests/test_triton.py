"""The Triton kernels: right in Triton's interpreter, compiled ahead of time, run where a card is.

The interpreter must be chosen before Triton is imported. So functions named check_ are tests of a
process of their own, which the one test that waits for it starts.
"""

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from tests.conftest import ROOT

pytest.importorskip("triton", reason="Triton is not installed")

from study.nets import triton as kernels
from study.nets.net import channels_last
from study.nets.triton import convolve

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
compiled = pytest.mark.skipif(INTERPRETED, reason="TRITON_INTERPRET is set")

#         batch, K, C, height, width, O, kernel, stride, padding, biased
CASES = {
    "LeNet's first": (2, 3, 1, 6, 7, 20, 5, 1, 0, True),
    "LeNet's second": (2, 1, 20, 6, 7, 50, 5, 1, 0, True),
    "3x3, padded": (5, 3, 4, 5, 4, 6, 3, 1, 1, True),
    "3x3, stride 2": (5, 3, 4, 6, 5, 6, 3, 2, 1, False),
    "1x1": (5, 3, 17, 4, 3, 10, 1, 1, 0, True),
    "1x1, stride 2": (1, 1, 3, 7, 6, 17, 1, 2, 0, False),
    "7x7, stride 2": (1, 3, 3, 12, 13, 4, 7, 2, 3, False),
    "2x2, stride 3": (5, 1, 3, 10, 9, 4, 2, 3, 1, True),
    "many parts": (1, 3, 2, 16, 17, 3, 3, 1, 1, True),
    "many tiles": (1, 1, 24, 2, 3, 70, 3, 1, 1, True),
}
SMALL = CASES["3x3, padded"]
STRIDED = (64, 10, 96, 16, 16, 192, 3, 2, 1, False)


def tensors(batch, k, channels, height, width, outputs, kernel, stride, padding, biased, **to):
    """Images, weights, bias or None, and a gradient for what comes out."""
    draw = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=draw, dtype=torch.float64).to(**to)

    x = normal(batch, k * channels, height, width).contiguous(memory_format=torch.channels_last)
    weight = channels_last(normal(k, outputs, channels, kernel, kernel))
    bias = normal(k, outputs) if biased else None
    rows, columns = ((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
    return x, weight, bias, normal(batch, k * outputs, rows, columns)


def grouped(x, weight, bias, stride, padding):
    flat = None if bias is None else bias.flatten()
    return F.conv2d(x, weight.flatten(0, 1), flat, stride, padding, groups=len(weight))


def results(function, x, weight, bias, slope, stride, padding):
    """The output and the gradients of x, weight and bias."""
    learned = [t.detach().requires_grad_() for t in (x, weight, bias) if t is not None]
    out = function(*learned, *[None] * (bias is None), stride, padding)
    return out, *torch.autograd.grad(out, learned, slope.to(out.dtype))


def differences(case, function=convolve, **to):
    """How far each result is from PyTorch's in float64, as a part of the largest value."""
    made, steps = tensors(*case, **to), case[-3:-1]
    exact = results(grouped, *(t if t is None else t.double().cpu() for t in made), *steps)
    ours = results(function, *made, *steps)
    assert [t.shape for t in ours] == [t.shape for t in exact]
    assert ours[0].is_contiguous(memory_format=torch.channels_last)
    assert ours[2].stride() == made[1].stride(), "gradients lie as their weights do"
    pairs = zip(ours, exact, strict=True)
    return [((a.double().cpu() - b).abs().max() / b.abs().max()).item() for a, b in pairs]


@pytest.mark.slow
def test_the_interpreter_finds_no_difference_from_pytorch():
    """Runs the checks below."""
    pytest_ = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=5"]
    done = subprocess.run(
        [*pytest_, "-o", "python_functions=check_*", __file__],
        cwd=ROOT,
        env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def many_parts(monkeypatch):
    """Also a small gradient of a weight is summed by many programs."""
    monkeypatch.setattr(kernels, "ROWS", 16)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def check_output_and_gradients_are_pytorchs(case, many_parts):
    assert max(differences(case, dtype=torch.float64)) < 1e-13


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-6), (torch.bfloat16, 1e-2)])
def check_other_types_are_as_close_as_their_rounding(dtype, close):
    assert max(differences(SMALL, dtype=dtype)) < close


def check_images_that_need_no_gradient_get_none(monkeypatch):
    launched, launch = [], kernels._launch

    def spy(kernel, *arguments):
        launched.append(kernel)
        launch(kernel, *arguments)

    monkeypatch.setattr(kernels, "_launch", spy)
    x, weight, bias, slope = tensors(*SMALL)
    convolve(x, weight.requires_grad_(), bias.requires_grad_(), 1, 1).backward(slope)
    assert x.grad is None
    assert weight.grad is not None
    assert launched == [kernels._forward, kernels._partial, kernels._whole]


def check_two_runs_give_the_same_bits(many_parts):
    made = tensors(*CASES["many parts"], dtype=torch.float32)
    once, again = (results(convolve, *made, 1, 1) for _ in range(2))
    assert all(a.equal(b) for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize("name", ["many parts", "3x3, stride 2"])
def check_a_networks_bits_do_not_change_with_its_pack_mates(name, monkeypatch):
    monkeypatch.setattr(kernels, "ROWS", 64)  # splits neither as little nor as much as can be
    case = CASES[name]
    x, weight, bias, slope = tensors(*case, dtype=torch.float32)
    k, steps = len(weight), case[-3:-1]
    pack = results(convolve, x, weight, bias, slope, *steps)
    for one in range(k):
        own = slice(one, one + 1)
        mine = None if bias is None else bias[own]
        images, change = x.chunk(k, 1)[one], slope.chunk(k, 1)[one]
        alone = results(convolve, images, weight[own], mine, change, *steps)
        expected = [t.chunk(k, 1)[one] for t in pack[:2]] + [t[own] for t in pack[2:]]
        assert all(a.equal(b) for a, b in zip(alone, expected, strict=True))


def check_any_layout_of_memory_is_taken():
    x, weight, bias, slope = tensors(*SMALL)
    tidy = results(convolve, x, weight, bias, slope, 1, 1)
    untidy = [t.flip(-1).contiguous().flip(-1) for t in (x, weight, slope)]
    untidy = [t.transpose(-1, -2).contiguous().transpose(-1, -2) for t in untidy]
    wide = torch.stack([bias, bias], -1)[..., 0]
    others = results(convolve, untidy[0], untidy[1], wide, untidy[2], 1, 1)
    assert all(a.equal(b) for a, b in zip(tidy, others, strict=True))


def check_autocast_is_obeyed():
    made = tensors(*SMALL, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = (results(f, *made, 1, 1) for f in (convolve, grouped))
    assert [t.dtype for t in ours] == [t.dtype for t in theirs]
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.02 * b.abs().max().item())


def check_what_it_cannot_compute_is_refused():
    x, weight, bias, _ = tensors(*SMALL)
    with pytest.raises(TypeError, match=r"in float32 or bfloat16, not in torch\.float16"):
        convolve(x.half(), weight.half(), bias.half(), 1, 1)
    with pytest.raises(TypeError, match=r"images are torch\.float32 but weights torch\.float64"):
        convolve(x.float(), weight, bias, 1, 1)
    with pytest.raises(ValueError, match="do not fit images"):
        convolve(x[:, 1:], weight, bias, 1, 1)


def launches(monkeypatch, case, dtype):
    """The kernels, with the arguments and options they would be launched with on a card."""
    found = []

    class Recorded:
        def __init__(self, kernel):
            self.kernel = kernel

        def __getitem__(self, grid):
            return lambda *arguments, **options: found.append((self.kernel, arguments, options))

    for name in ("_forward", "_backward", "_partial", "_whole"):
        monkeypatch.setattr(kernels, name, Recorded(getattr(kernels, name)))
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: False)
    made = tensors(*case, dtype=dtype, device="meta")
    results(convolve, *made, *case[-3:-1])
    return found


def compile_for(capability, kernel, arguments, options):
    """As a launch would; every tensor is aligned."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    types = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}
    signature, constants, aligned = {}, {}, {}
    for place, (parameter, value) in enumerate(zip(kernel.params, arguments, strict=True)):
        if parameter.is_constexpr or value is None:
            signature[parameter.name], constants[(place,)] = "constexpr", value
        elif isinstance(value, torch.Tensor):
            signature[parameter.name] = types[value.dtype]
            aligned[(place,)] = [["tt.divisibility", 16]]
        else:
            assert parameter.do_not_specialize, "another pack or batch, the same binary"
            signature[parameter.name] = "i32"
    source = ASTSource(kernel, signature, constants, aligned)
    return compile(source, target=GPUTarget("cuda", capability, 32), options=options)


@compiled
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(
    ("dtype", "tf32", "case"),
    [
        (torch.bfloat16, False, (64, 10, 20, 12, 12, 50, 5, 1, 0, True)),
        pytest.param(torch.float32, True, STRIDED, marks=pytest.mark.slow),
        pytest.param(torch.float32, False, STRIDED, marks=pytest.mark.slow),
    ],
)
def test_kernels_compile_without_a_card(capability, dtype, tf32, case, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", tf32)
    launched = launches(monkeypatch, case, dtype)
    assert [kernel.__name__ for kernel, *_ in launched] == [
        "_forward",
        "_backward",
        "_partial",
        "_whole",
    ]
    for kernel, arguments, options in launched:
        binary = compile_for(capability, kernel, arguments, options)
        assert binary.asm["cubin"]
        assert binary.metadata.shared <= 99 * 1024, "more than any card since sm_80 has"
        if kernel.__name__ != "_whole":
            assert "cp.async" in binary.asm["ptx"], "loads run ahead of products"
            tensor_cores = "mma" in binary.asm["ptx"]
            assert tensor_cores == (dtype == torch.bfloat16 or tf32)


card = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@card
@compiled
@pytest.mark.parametrize(
    ("dtype", "tf32", "close"),
    [(torch.float32, False, 5e-6), (torch.float32, True, 5e-3), (torch.bfloat16, False, 2e-2)],
)
def test_a_card_agrees_with_pytorch(dtype, tf32, close, monkeypatch, many_parts):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", tf32)
    for name, case in CASES.items():
        assert max(differences(case, dtype=dtype, device="cuda")) < close, name


@card
@compiled
def test_a_graph_of_kernels_seen_before_gives_the_same_bits():
    made = tensors(64, 3, 20, 12, 12, 50, 5, 1, 0, True, dtype=torch.float32, device="cuda")
    eager = results(convolve, *made, 1, 0)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = results(convolve, *made, 1, 0)
    graph.replay()
    assert all(a.equal(b) for a, b in zip(eager, recorded, strict=True))
