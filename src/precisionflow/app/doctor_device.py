"""What the doctor tells of the device: what differs from the others' one code path, and what was measured on it."""

import shutil
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from precisionflow.cluster.doctor.finding import Finding, Findings, bad, note, ok
from precisionflow.records.arithmetic import ArithmeticCard, Variant
from precisionflow.records.files import read_card
from precisionflow.results.layout import TrainedCell
from precisionflow.results.machine import gpus

DIFFERS = {
    "CPU": "ranks talk by gloo; attention in blocks that fit the caches; bfloat16 by autocast, int8 in `serve` alone",
    "CUDA": "ranks talk by nccl; attention by fused kernels in bfloat16, else in blocks; `serve` stays on the CPU "
    "but for float8 and TensorRT, which were tried on no GPU",
    "ROCm": "as on CUDA, ranks talk by rccl under nccl's name; it was tried on no such GPU",
}
"""Device -> what is not the same on it; all else is one code."""


def torch_version() -> str:
    """torch's version, empty without it; torch itself is not imported."""
    return metadata.version("torch") if find_spec("torch") else ""


def is_built_for(amd: bool) -> bool:
    """Whether torch is built for a GPU, one of AMD's or of NVIDIA's."""
    version = torch_version()
    return "+cpu" not in version and (not amd or "+rocm" in version)


def check_device() -> Findings:
    """Which device a run takes, and what differs there; whether layers can be compiled."""
    nvidia, amd = gpus()
    takes = (nvidia or amd) and torch_version() and is_built_for(amd)
    device = ("ROCm" if amd else "CUDA") if takes else "CPU"
    yield ok(f"on {device}", DIFFERS[device])
    if device == "CPU" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        yield note("C++ compiler", "there is none; engine.compile needs one on a CPU")


def check_arithmetic(results: Path) -> Findings:
    """The tables that `serve --calibrate` kept beside the models of a results folder."""
    cells = [cell for cell in TrainedCell.below(results) if cell.arithmetic.is_file()]
    if not cells:
        yield note(
            "arithmetic",
            f"no model in {results} was measured; `precisionflow serve CELL --calibrate` does, and keeps the table",
        )
    for cell in cells:
        yield from _told(cell, results)


def _told(cell: TrainedCell, results: Path) -> Findings:
    name = str(cell.folder.relative_to(results))
    try:
        card = read_card(cell.arithmetic, ArithmeticCard)
    except ValueError as error:
        yield bad(name, str(error), f"rm {cell.arithmetic}")
        return
    yield ok(name, f"measured on {card.machine}")
    for variant in card.variants:
        yield _row(name, variant)


def _row(name: str, variant: Variant) -> Finding:
    times = ", ".join(
        f"{each.rows:,} rows {1e3 * each.median:.3g} ms{' (faster)' if each.faster else ''}"
        for each in variant.times
    )
    quality = "" if variant.arithmetic == "float32" else f"; error {variant.error:.2g}"
    quality += "" if variant.arithmetic == "float32" else f", NLL {variant.excess_nll:+.2g} nats"
    return ok(f"{name}, {variant.arithmetic}", times + quality)
