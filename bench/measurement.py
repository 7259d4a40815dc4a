"""What travels from a contender's process to the report."""

from dataclasses import dataclass

STEP, SECOND_STEP, IMAGE, GFLOP = "network-step", "second-phase step", "image", "GFLOP"
WIDE_STEP = "All-CNN step"
"""The units of work: a batch of 64 learned by one network, the same by its last layer alone, an
image evaluated, 10^9 floating-point operations of a matrix product; and a batch of 256 colour
images learned by an All-CNN."""


@dataclass(frozen=True)
class Measurement:
    """One contender, once. Where it failed, `failure` says why and its rate is 0.

    amount: units of work done, by all networks of all processes, in `seconds`.
    rate: units a second; of several processes the sum of their own rates.
    threads: of each process. networks: that each process advances at once.
    others: cores that other programs kept busy just before or just after.
    conv_tf32, matmul_tf32: whether products were rounded so; only a CUDA device does it.
    """

    contender: str
    device: str
    unit: str
    ours: bool = False
    round: int = 0
    processes: int = 1
    threads: int = 0
    networks: int = 1
    amount: float = 0.0
    seconds: float = 0.0
    rate: float = 0.0
    others: float = 0.0
    conv_tf32: bool = False
    matmul_tf32: bool = False
    note: str = ""
    failure: str = ""
