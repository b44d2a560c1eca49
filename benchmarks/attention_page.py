"""The tables and the figure of docs/performance.md, of what benchmarks/attention.py and attention_gpu.py measured."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measured import Measured

BEGIN, END = "<!-- tables made by benchmarks/attention.py -->", "<!-- end of the tables -->"
BEGIN_GPU, END_GPU = "<!-- table made by benchmarks/attention_gpu.py -->", "<!-- end of the table -->"
NAIVE = ", naive"
Curve = Mapping[str, Mapping[int, float]]
"""Form -> tokens -> milliseconds."""


def filled(page: str, tables: str, *, begin: str = BEGIN, end: str = END) -> str:
    """The page with new tables; ValueError where it has no place for them."""
    place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not place.search(page):
        raise ValueError(f"the page has no lines {begin} and {end}; put them where the tables belong")
    return place.sub(lambda _: f"{begin}\n{tables}\n{end}", page)


def tables_of(bars: Sequence[Measured], memory: Sequence[Measured], curve: Curve, *, figure: str) -> str:
    """Cost at 256 tokens and peak memory with their bars, then milliseconds against tokens beside the naive forms."""
    shown = [table_of(("over SDPA, 256 tokens", "", "bar", ""), map(_row, bars))]
    shown += [
        table_of(("peak memory", "", "bar", ""), map(_row, memory)),
        f"![Cost against tokens]({figure})",
    ]
    lengths = sorted({tokens for of in curve.values() for tokens in of})
    forms = [name for name in curve if not name.endswith(NAIVE)]
    rows = [
        [name, *(_pair(curve[name].get(t), curve.get(name + NAIVE, {}).get(t)) for t in lengths)]
        for name in forms
    ]
    shown.append(table_of(("ms; naive", *(f"{tokens:,}" for tokens in lengths)), rows))
    return "\n\n".join(shown)


def _row(of: Measured) -> list[str]:
    held = {None: "", True: "holds", False: "does not hold"}[of.holds]
    unit = "" if of.unit == "1" else f" {of.unit}"
    return [of.measure, f"{of.value:.3g}{unit}", "" if of.bar is None else f"at most {of.bar:g}", held]


def _pair(lowered: float | None, naive: float | None) -> str:
    return "; ".join(f"{of:.3g}" for of in (lowered, naive) if of is not None)


def table_of(head: Sequence[str], rows: "map[list[str]] | Sequence[Sequence[str]]") -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(
    file: Path, bars: Sequence[Measured], memory: Sequence[Measured], curve: Curve, *, figure: Path
) -> None:
    """Replace the tables of a page; the figure lies beside it."""
    page = file.read_text(encoding="utf-8")
    file.write_text(
        filled(page, tables_of(bars, memory, curve, figure=figure.name)), encoding="utf-8", newline="\n"
    )


GPU_HEAD = (
    "",
    "over FlashAttention",
    "bar",
    "",
    "ms",
    "kernel that takes longest, its share",
    "peak memory",
    "error of the output",
    "of gradients of tokens",
    "of parameters",
)
NAME = 48
"""Characters of a kernel's name."""


def gpu_table(measured: Sequence[Mapping[str, Any]]) -> str:
    """One row for each form, of the measures of benchmarks/attention_gpu.py; a form that failed says why."""
    found = {one["measure"]: one for one in measured}
    rows, named = [], [name for name in found if name.endswith(OVER_FLASH)]
    for name in named:
        form, over = name.removesuffix(OVER_FLASH), found[name]
        held = {None: "", True: "holds", False: "does not hold"}[over["holds"]]
        shares = [one for one in found if one.startswith(f"{form}, share of ")]
        longest = f"`{_kernel(shares[0])}` {found[shares[0]]['value']:.0%}" if shares else ""
        rest = (f"{form}{ending}" for ending in GPU_MEASURES)
        time, *others = (f"{found[one]['value']:.2g}" if one in found else "" for one in rest)
        bar = "" if over["bar"] is None else f"at most {over['bar']:g}"
        rows.append([form, f"{over['value']:.2f}", bar, held, time, longest, *others])
    failed = [name.split(" Search for")[0] for name in found if ", failed: " in name]
    device = [name for name in found if name.startswith("device: ")]
    flash = [
        f"`{_kernel(name)}` {one['value']:.0%}"
        if ", share of " in name
        else f"{name}: {one['value']:.3g} {one['unit']}"
        for name, one in found.items()
        if name.startswith("FlashAttention") and "elementwise" not in name
    ]
    return "\n\n".join(["; ".join(device + flash), table_of(GPU_HEAD, rows), *failed])


OVER_FLASH = ", over FlashAttention"
GPU_MEASURES = (
    ", time",
    ", peak memory over FlashAttention",
    ", error of output",
    ", error of gradients of tokens",
    ", error of gradients of parameters",
)


def _kernel(measure: str) -> str:
    return measure.split(", share of ")[1].removeprefix("void ").replace("pytorch_flash::", "")[:NAME]


def write_gpu(file: Path, measured: Sequence[Mapping[str, Any]]) -> None:
    """Replace the table of the GPU."""
    page = file.read_text(encoding="utf-8")
    tables = filled(page, gpu_table(measured), begin=BEGIN_GPU, end=END_GPU)
    file.write_text(tables, encoding="utf-8", newline="\n")
