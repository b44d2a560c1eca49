"""Tables of attention: entropy, precision and distribution of every head, and how far each symbol is trusted."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from precisionflow.report.digits import significant
from precisionflow.report.tables import Entry, Table
from precisionflow.report.wording import Row

SHOWN = 10
"""Symbols on either end."""
STEPS = 6
"""Steps of a training that are shown."""
FEWEST = 5
"""Tokens of a symbol from which on its mean counts, where any symbol has so many."""


Measure = Literal["entropy", "log_precision"]


class Mean(NamedTuple):
    """Means over tokens."""

    n: int
    entropy: float
    log_precision: float
    """NaN where no token states one."""


def head_table(rows: Sequence[Row], *, caption: str) -> Table:
    """Layers and heads by entropy, keys that count, and precision; `rows` are of records.schemas.ATTENTION."""
    groups: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["layer"], row["head"]].append(row)
    stated = any("log_precision" in row for row in rows)
    columns = [Entry("head"), Entry("entropy", "nats"), Entry("keys", "exp entropy")]
    columns += [Entry("precision", "geometric mean"), Entry("lowest", "symbols")] if stated else []
    body = []
    for (layer, head), of in sorted(groups.items()):
        mean = mean_of(of)
        entries = [
            Entry(f"layer {layer} head {head}"),
            Entry(significant(mean.entropy, digits=3)),
            Entry(significant(math.exp(mean.entropy), digits=3)),
        ]
        if stated:
            least = sorted(_common(of), key=lambda row: row["log_precision"])[:3]
            entries += [
                Entry(significant(math.exp(mean.log_precision), digits=3)),
                Entry(" ".join(repr(row["symbol"]) for row in least)),
            ]
        body.append(tuple(entries))
    return Table(caption, tuple(columns), tuple(body))


def distribution_table(layers: Sequence[Mapping[str, Sequence[float]]], *, caption: str) -> Table | None:
    """Layers and heads by the numbers of their distributions, name -> one of each head; none where there are none."""
    names = list(layers[0]) if layers else []
    if not names:
        return None
    body = [
        (
            Entry(f"layer {layer} head {head}"),
            *(Entry(significant(of[name][head], digits=3)) for name in names),
        )
        for layer, of in enumerate(layers)
        for head in range(len(of[names[0]]))
    ]
    return Table(caption, (Entry("head"), *map(Entry, names)), tuple(body))


def symbol_table(rows: Sequence[Row], *, caption: str) -> Table | None:
    """The least and the most trusted symbols, by geometric means over layers and heads; none where none is stated."""
    stated = _common([row for row in rows if "log_precision" in row])
    if not stated:
        return None
    layers = sorted({row["layer"] for row in stated})
    by_symbol: dict[str, list[Row]] = defaultdict(list)
    for row in stated:
        by_symbol[row["symbol"]].append(row)
    ordered = sorted(by_symbol, key=lambda symbol: mean_of(by_symbol[symbol]).log_precision)
    ends = ordered if len(ordered) <= 2 * SHOWN else [*ordered[:SHOWN], *ordered[-SHOWN:]]
    body = []
    for symbol in ends:
        of = by_symbol[symbol]
        by_layer = [mean_of(row for row in of if row["layer"] == layer) for layer in layers]
        numbers = [mean_of(of), *(by_layer if len(layers) > 1 else ())]
        shown = [Entry(significant(math.exp(mean.log_precision), digits=3)) for mean in numbers]
        body.append((Entry(repr(symbol)), Entry(str(max(row["n"] for row in of))), *shown))
    several = [Entry(f"layer {layer}") for layer in layers] if len(layers) > 1 else []
    columns = (Entry("symbol", "least trusted first"), Entry("tokens"), Entry("precision"), *several)
    return Table(caption, columns, tuple(body))


def history_table(
    rows: Sequence[Row], *, of: Literal["layer", "symbol"], column: Measure, caption: str
) -> Table | None:
    """Layers or symbols by their means at some steps of the training; none where no token states a precision.

    `rows` are of records.schemas.ATTENTION_HISTORY. Symbols are those of the last step, the least trusted first.
    """
    common = _common(rows) if of == "symbol" else list(rows)
    at: dict[tuple[int, Any], list[Row]] = defaultdict(list)
    for row in common:
        at[row["step"], row[of]].append(row)
    steps = _some(sorted({row["step"] for row in rows}))
    means = {key: getattr(mean_of(of_it), column) for key, of_it in at.items()}
    names = [name for step, name in means if step == steps[-1]]
    if any(math.isnan(means[steps[-1], name]) for name in names):
        return None
    ordered = sorted(names, key=lambda name: means[steps[-1], name] if of == "symbol" else name)
    ends = ordered if len(ordered) <= 2 * SHOWN else [*ordered[:SHOWN], *ordered[-SHOWN:]]
    shown = math.exp if column == "log_precision" else float
    body = [
        (
            Entry(f"layer {name}" if of == "layer" else repr(name)),
            *(
                Entry(significant(shown(means[step, name]), digits=3) if (step, name) in means else "-")
                for step in steps
            ),
        )
        for name in ends
    ]
    return Table(caption, (Entry(of), *(Entry(f"step {step:,}") for step in steps)), tuple(body))


def _some(steps: Sequence[int]) -> list[int]:
    """At most `STEPS` of them, evenly, with the first and the last."""
    count = min(STEPS, len(steps))
    return [steps[round(place * (len(steps) - 1) / max(1, count - 1))] for place in range(count)]


def mean_of(rows: Iterable[Row]) -> Mean:
    """Mean over all tokens of some rows."""
    of = list(rows)
    n = sum(row["n"] for row in of)
    return Mean(
        n,
        sum(row["n"] * row["entropy"] for row in of) / n,
        sum(row["n"] * row.get("log_precision", math.nan) for row in of) / n,
    )


def _common(rows: Sequence[Row]) -> list[Row]:
    """Those of symbols that are no accident, where there are any."""
    return [row for row in rows if row["n"] >= FEWEST] or list(rows)
