"""The tables and the figure of docs/performance.md, of what benchmarks/attention.py measured."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from measured import Measured

BEGIN, END = "<!-- tables made by benchmarks/attention.py -->", "<!-- end of the tables -->"
NAIVE = ", naive"
Curve = Mapping[str, Mapping[int, float]]
"""Form -> tokens -> milliseconds."""


def filled(page: str, tables: str) -> str:
    """The page with new tables; ValueError where it has no place for them."""
    place = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not place.search(page):
        raise ValueError(f"the page has no lines {BEGIN} and {END}; put them where the tables belong")
    return place.sub(lambda _: f"{BEGIN}\n{tables}\n{END}", page)


def tables_of(bars: Sequence[Measured], memory: Sequence[Measured], curve: Curve, *, figure: str) -> str:
    """Cost at 256 tokens and peak memory with their bars, then milliseconds against tokens beside the naive forms."""
    shown = [_table(("over SDPA, 256 tokens", "", "bar", ""), map(_row, bars))]
    shown += [_table(("peak memory", "", "bar", ""), map(_row, memory)), f"![Cost against tokens]({figure})"]
    lengths = sorted({tokens for of in curve.values() for tokens in of})
    forms = [name for name in curve if not name.endswith(NAIVE)]
    rows = [
        [name, *(_pair(curve[name].get(t), curve.get(name + NAIVE, {}).get(t)) for t in lengths)]
        for name in forms
    ]
    shown.append(_table(("ms; naive", *(f"{tokens:,}" for tokens in lengths)), rows))
    return "\n\n".join(shown)


def _row(of: Measured) -> list[str]:
    held = {None: "", True: "holds", False: "does not hold"}[of.holds]
    unit = "" if of.unit == "1" else f" {of.unit}"
    return [of.measure, f"{of.value:.3g}{unit}", "" if of.bar is None else f"at most {of.bar:g}", held]


def _pair(lowered: float | None, naive: float | None) -> str:
    return "; ".join(f"{of:.3g}" for of in (lowered, naive) if of is not None)


def _table(head: Sequence[str], rows: "map[list[str]] | Sequence[Sequence[str]]") -> str:
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
