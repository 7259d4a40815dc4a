"""A contender's own process: python -m bench.child NAME ...; its answer is one line of JSON."""

import argparse
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

from bench.contenders import TABLE, Contender
from bench.learner import Start
from bench.measurement import Measurement
from bench.processes import load


def main() -> None:
    """Measure, and answer on what was standard output; all else that is printed goes elsewhere."""
    p = argparse.ArgumentParser(prog="python -m bench.child")
    p.add_argument("name", choices=TABLE)
    p.add_argument("--folder", type=Path, required=True)
    p.add_argument("--device", required=True)
    p.add_argument("--seconds", type=float, required=True)
    options = p.parse_args()
    answer = os.dup(1)
    os.dup2(2, 1)
    contender = TABLE[options.name]
    measurement = measure(contender, options.folder, options.device, options.seconds)
    os.write(answer, json.dumps(asdict(measurement)).encode() + b"\n")


def measure(contender: Contender, folder: Path, device: str, seconds: float) -> Measurement:
    """The contender, once, in this process; what it raises is its failure, not ours."""
    blank = Measurement(
        contender.name, device, contender.unit, contender.ours, networks=contender.networks
    )
    start = Start(folder, device, contender.networks)
    try:
        tally = load(contender.race)(contender, start, seconds * contender.share)
    except ModuleNotFoundError as error:
        return replace(blank, failure=f"{error.name} is not installed")
    except Exception as error:
        return replace(blank, failure=reason(error))
    worth = contender.networks * contender.size
    return replace(
        blank,
        processes=tally.processes,
        threads=tally.threads,
        amount=tally.steps * worth,
        seconds=tally.seconds,
        rate=tally.rate * worth,
        conv_tf32=device == "cuda" and tally.conv_tf32,
        matmul_tf32=device == "cuda" and tally.matmul_tf32,
        note=tally.note,
    )


def reason(error: Exception) -> str:
    """An exception in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


if __name__ == "__main__":
    main()
