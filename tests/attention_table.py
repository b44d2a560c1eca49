"""The tables of docs/attention.md, made from the code: `python -m tests.attention_table` writes them."""

import inspect
import re
from pathlib import Path

import torch
from torch import nn

from precisionflow.config import attention as config
from precisionflow.config.base import Config, kind_of, members_of
from precisionflow.models.attention.attention import attention
from precisionflow.models.attention.heads import QueriesAndKeys
from precisionflow.models.attention.potentials.assembled import potential
from precisionflow.models.attention.sites import Sites

DOCUMENT = Path(__file__).parents[1] / "docs" / "attention.md"
BEGIN, END = "<!-- tables made by tests/attention_table.py -->", "<!-- end of the tables -->"
SETTINGS: dict[type[Config], dict[str, object]] = {
    config.Window: {"before": 64},
    config.Graph: {"edges": ((0, 0), (1, 0))},
    config.Product: {"of": (config.Causal(), config.Relative())},
}
"""Members that say nothing without settings."""


def tables() -> str:
    """Potentials, priors and values, one row for each kind."""
    rows = [
        "| potential | log p(x \\| edge), up to a constant of the query | lowering | products over the dot product's "
        "| kept of a key | source |",
        "|---|---|---|---|---|---|",
    ]
    for member in members_of(config.Potential):
        described = config.Attention(potential=member())
        made = potential(described, QueriesAndKeys(16, heads=2))
        lowering = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(made.lowering).__name__).lower()
        cells = (formula(member), lowering, products(described), key_width(described), source(made))
        rows.append(f"| `{kind_of(member)}` | " + " | ".join(cells) + " |")
    rows += ["", "| prior | log p(edge) | keys kept | source |", "|---|---|---|---|"]
    for member in members_of(config.Prior):
        module = whole(prior=made_of(member)).prior
        kept = "all" if module.horizon is None else "those within the window"
        rows.append(f"| `{kind_of(member)}` | {formula(member)} | {kept} | {source(module)} |")
    rows += ["", "| value | what is averaged | kept of a token | source |", "|---|---|---|---|"]
    for member in members_of(config.Value):
        value = whole(value=made_of(member)).value
        rows.append(f"| `{kind_of(member)}` | {formula(member)} | {value_width(member)} | {source(value)} |")
    return "\n".join(rows)


def made_of(member: type[Config]) -> Config:
    return member(**SETTINGS.get(member, {}))


def whole(**parts: Config) -> nn.Module:
    return attention(config.Attention(**parts), width=16, heads=2)


def formula(member: type[Config]) -> str:
    """The first sentence of the configuration's docstring, without the name of what all rows give."""
    first = " ".join((inspect.getdoc(member) or "").split("\n\n")[0].split())
    first = re.split(r"(?<!\.)[.:] |; (?!k, )", first.rstrip("."))[0]
    return first.removeprefix("log potential = ").replace("|", "\\|")


def source(module: nn.Module) -> str:
    """Citations in the docstring: (Author Year, place)."""
    text = " ".join((inspect.getdoc(type(module)) or "").split())
    found = re.findall(
        r"[A-Z][\w-]+(?: et al\.| & [A-Z][\w-]+)?,? \(?\d{4}(?:, [a-z]+ [\d.]+(?: and [\d.]+)?)?", text
    )
    return "; ".join(cite.replace("(", "") for cite in found) or "–"


def key_width(described: config.Attention) -> str:
    """Numbers of the key side for heads of width d."""
    return in_d(*(sides(described, width)[1] for width in (8, 16)))


def value_width(member: type[Config]) -> str:
    widths = []
    for width in (8, 16):
        made = attention(config.Attention(value=made_of(member)), width=2 * width, heads=2)
        x, at = tokens(2 * width)
        widths.append(made.memory(x, at).values.shape[-1])
    return in_d(*widths)


def products(described: config.Attention) -> str:
    """Multiplications of queries with keys and of weights with values over the dot product's 2 d, for long heads."""
    made = potential(described, QueriesAndKeys(16, heads=2))
    if "distance" in type(made.lowering).__name__.lower():
        return "1/2, and d differences of a pair"
    slope = sides(described, 1024)[1] / 1024
    return f"{(round(slope) + 1) / 2:g}"


def sides(described: config.Attention, width: int) -> tuple[int, int]:
    made = potential(described, QueriesAndKeys(width, heads=1))
    queries, keys = made(*tokens(width))
    return queries.shape[-1], keys.shape[-1]


def tokens(width: int) -> tuple[torch.Tensor, Sites]:
    return torch.zeros(1, 2, width), Sites(torch.arange(2))


def in_d(at_8: int, at_16: int) -> str:
    """a d + b through two points."""
    slope, rest = (at_16 - at_8) // 8, at_8 - 8 * ((at_16 - at_8) // 8)
    of_width = {0: "", 1: "d"}.get(slope, f"{slope} d")
    return " + ".join(part for part in (of_width, str(rest) if rest else "") if part) or "0"


if __name__ == "__main__":
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{tables()}\n{END}{after}", encoding="utf-8")
