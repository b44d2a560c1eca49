"""Cost of every attention over dot-product SDPA, forward and backward: time, time against tokens, peak memory.

All forms take turns in one process, so that a busy machine slows all; medians. `--page docs/performance.md` measures
all and writes the tables of that page and the figure beside it. Peak memory is the most that tensors hold at once in a
pass, gradients among it.
"""

import json
import shutil
import statistics
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from attention_forms import Compiled, Fused, Hops, Lowered, Make, Naive, Retrieval, Shape
from attention_page import NAIVE as OF_NAIVE
from attention_page import write
from held import peak_bytes
from measured import Measured, arguments, present
from torch import Tensor, nn

from precisionflow.config import attention as config

FULL = config.Full()


class Row(NamedTuple):
    """One attention, and the bar of its cost over SDPA."""

    name: str
    make: Make
    described: config.Attention
    bar: float | None


def of(potential: config.Potential, **parts: object) -> config.Attention:
    return config.Attention(potential=potential, **({"prior": FULL} | parts))


DOT = config.DotProduct()
ROWS = (
    Row("Gaussian, isotropic", Lowered, of(config.GaussianIsotropic()), 1.2),
    Row("Gaussian, per key", Lowered, of(config.GaussianPerKey()), 1.9),
    Row("Gaussian, per query", Lowered, of(config.GaussianPerQuery()), 1.9),
    Row("Gaussian, separable", Lowered, of(config.GaussianSeparable()), 2.4),
    Row("mixture of two Gaussians", Lowered, of(config.GaussianMixture()), 2.3),
    Row("Student's t", Lowered, of(config.StudentTIsotropic()), 2.0),
    Row("Laplace, elliptical", Lowered, of(config.LaplaceElliptical()), 2.0),
    Row("Laplace, by channel", Lowered, of(config.LaplaceByChannel()), 7.0),
    Row("pair precision", Lowered, of(config.PairPrecision()), 7.0),
    Row("dot product, learned temperature", Lowered, of(DOT, temperature=1.0), None),
    Row("dot product, relative prior", Lowered, of(DOT, prior=config.Relative(largest=64)), 1.2),
    Row("dot product, window of 64", Lowered, of(DOT, prior=config.Window(before=32, after=31)), 1.2),
    Row("Hopfield step", Retrieval, of(DOT), 1.2),
    Row("multihop, two hops", Hops, of(DOT, value=config.Multihop(hops=2)), 2.4),
    Row("multihop, three hops", Hops, of(DOT, value=config.Multihop(hops=3)), 3.6),
)
COMPILED = (
    Row("Laplace, by channel, compiled", Compiled, of(config.LaplaceByChannel()), 4.0),
    Row("pair precision, compiled", Compiled, of(config.PairPrecision()), 4.0),
)
"""Where there is a C++ compiler."""
SDPA = Row("SDPA", Fused, of(DOT), None)
WITH_NAIVE = ROWS[:9]
LENGTHS = (128, 256, 512, 1024, 2048, 4096)
NAIVE_UP_TO = 512
"""Tokens beyond which the pairs and channels of one sequence take more than a gigabyte."""
NAIVE_TURNS = 3
"""Turns of naive forms: the slowest takes 100 times as long as SDPA."""


def seconds(module: nn.Module, gradient: Tensor) -> float:
    """Of one forward and one backward pass."""
    start = time.perf_counter()
    module().backward(gradient)
    spent = time.perf_counter() - start
    module.zero_grad()
    return spent


def medians(rows: list[Row], shape: Shape, *, turns: int) -> dict[str, float]:
    """Seconds of each, in turns; the first turn does not count."""
    modules = {row.name: row.make(shape, row.described) for row in rows}
    gradient = torch.randn(shape.batch, shape.heads, shape.tokens, shape.width)
    spent: dict[str, list[float]] = {name: [] for name in modules}
    for turn in range(turns + 1):
        for name, module in modules.items():
            found = seconds(module, gradient)
            if turn:
                spent[name].append(found)
    return {name: statistics.median(times) for name, times in spent.items()}


def at_256(turns: int) -> list[Measured]:
    """The bars: full and causal prior; naive forms with one sequence in place of eight."""
    results = []
    forms = ROWS + (COMPILED if shutil.which("g++") else ())
    for prior, rows in (
        (FULL, forms),
        (config.Causal(), [row for row in forms if row.described.prior == FULL]),
    ):
        here = [
            row._replace(described=row.described.model_copy(update={"prior": prior}))
            if row.described.prior == FULL
            else row
            for row in (SDPA, *rows)
        ]
        found = medians(here, Shape(8, 6, 256), turns=turns)
        results += [
            Measured(
                f"{row.name}, {prior.kind}, over SDPA",
                found[row.name] / found[SDPA.name],
                "1",
                row.bar if prior == FULL else None,
            )
            for row in here[1:]
        ]
    naive = [row._replace(make=Naive) for row in WITH_NAIVE]
    found = medians([SDPA, *naive], Shape(1, 6, 256), turns=max(2, turns // 8))
    results += [
        Measured(f"{row.name}, naive, batch 1, over SDPA", found[row.name] / found[SDPA.name], "1")
        for row in naive
    ]
    return results


def taught(module: nn.Module, gradient: Tensor) -> None:
    """A forward and a backward pass."""
    module().backward(gradient)


def memory(tokens: int) -> list[Measured]:
    """Most bytes of tensors at once in a forward and a backward pass, beside queries, keys, values and weights."""
    shape = Shape(1, 6, tokens)
    gradient = torch.randn(shape.batch, shape.heads, shape.tokens, shape.width)
    peaks = {}
    for row in (SDPA, *ROWS):
        module = row.make(shape, row.described)
        seconds(module, gradient)
        peaks[row.name] = peak_bytes(partial(taught, module, gradient)) / 2**20
    plain = peaks.pop(SDPA.name)
    return [Measured(f"SDPA, T {tokens}, peak memory", plain, "MiB")] + [
        Measured(f"{name}, T {tokens}, peak memory over SDPA", peak / plain, "1", 2.0)
        for name, peak in peaks.items()
    ]


def curve(turns: int) -> dict[str, dict[int, float]]:
    """Milliseconds of one sequence by tokens, of every form and of naive ones where they fit."""
    found: dict[str, dict[int, float]] = {}
    for tokens in LENGTHS:
        shape, few = Shape(1, 6, tokens), max(1, turns * 128 // tokens)
        spent = medians([SDPA, *ROWS[:9]], shape, turns=few)
        if tokens <= NAIVE_UP_TO:
            naive = [row._replace(name=f"{row.name}{OF_NAIVE}", make=Naive) for row in WITH_NAIVE]
            spent |= medians(naive, shape, turns=min(NAIVE_TURNS, few))
        for name, seconds_of in spent.items():
            found.setdefault(name, {})[tokens] = 1000 * seconds_of
    return found


def draw(found: dict[str, dict[int, float]], file: Path) -> None:
    """Milliseconds against tokens, both logarithmic; naive forms dashed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    colours = {row.name: f"C{index}" for index, row in enumerate(ROWS[:9])} | {SDPA.name: "black"}
    for name, line in found.items():
        form, naive = name.removesuffix(OF_NAIVE), name.endswith(OF_NAIVE)
        look = (
            {"linestyle": "--", "linewidth": 0.8}
            if naive
            else {"marker": "o", "markersize": 3, "label": form}
        )
        axes.plot(list(line), list(line.values()), color=colours[form], **look)
    axes.set(
        xscale="log", yscale="log", xlabel="tokens", ylabel="ms, forward and backward, batch 1, 6 heads of 64"
    )
    axes.set_xticks(LENGTHS, [str(tokens) for tokens in LENGTHS], minor=False)
    axes.minorticks_off()
    axes.set_title(
        "Cost of attention by potential; dashed: naive, with a tensor of pairs and channels", fontsize=10
    )
    axes.legend(fontsize=7)
    figure.savefig(file, dpi=110)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--turns", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--curve", type=Path, metavar="PNG", help="only the cost against tokens, as a figure")
    parser.add_argument("--memory", action="store_true", help="only the peaks of memory")
    parser.add_argument("--page", type=Path, metavar="MD", help="write everything into the tables of a page")
    parser.add_argument("--tokens", type=int, default=4096, help="of the peak memory")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.curve:
        found = curve(given.turns)
        draw(found, given.curve)
        print(json.dumps(found, indent=1))
        return
    if given.memory:
        present(memory(given.tokens), given.json)
        return
    bars, peaks = at_256(given.turns), memory(given.tokens)
    if given.page:
        figure = given.page.with_suffix(".png")
        found = curve(given.turns)
        draw(found, figure)
        write(given.page, bars, peaks, found, figure=figure)
    present(bars + peaks, given.json)


if __name__ == "__main__":
    main()
