"""The tables of docs/attention.md, made from the code: `python -m tests.attention_table` writes them."""

import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest.mock import Mock

import torch
from torch import nn

from precisionflow.config import attention as config
from precisionflow.config.base import Config, kind_of, members_of
from precisionflow.config.load import load
from precisionflow.config.networks import Slots, Transformer
from precisionflow.models.attention.attention import Attention, attention
from precisionflow.models.attention.expanding import Expanding
from precisionflow.models.attention.heads import QueriesAndKeys
from precisionflow.models.attention.iterated.latent import Blocks, Causes, DotProduct, Gaussian
from precisionflow.models.attention.log_prior import LogPrior, blocks_of
from precisionflow.models.attention.potentials.assembled import potential
from precisionflow.models.attention.priors.absolute import Absolute
from precisionflow.models.attention.priors.graph import Graph
from precisionflow.models.attention.priors.padding import padding
from precisionflow.models.attention.priors.relative import Relative
from precisionflow.models.attention.rotation import Rotary
from precisionflow.models.attention.sites import Sites
from precisionflow.models.attention.values.hopfield import Hopfield
from precisionflow.models.attention.values.multihop import Multihop
from precisionflow.models.networks.objects import grouping
from precisionflow.models.networks.transformer import (
    LearnedPositions,
    SlotSoftmax,
    TiedLogits,
    TiedReadout,
    transformer,
)

DOCUMENT = Path(__file__).parents[1] / "docs" / "attention.md"
BEGIN, END = "<!-- tables made by tests/attention_table.py -->", "<!-- end of the tables -->"
SETTINGS: dict[type[Config], dict[str, object]] = {
    config.Window: {"before": 64},
    config.Graph: {"edges": ((0, 0), (1, 0))},
    config.Product: {"of": (config.Causal(), config.Relative())},
}
"""Members that say nothing without settings."""


TOKENS = 4096
"""Queries and keys of the cost of a prior."""


class Row(NamedTuple):
    """A row of Table 1 of Singh & Buckley (2023), and what computes it."""

    name: str
    experiment: str
    setting: str
    """What is set of a shipped experiment."""
    module: type[nn.Module]


ROWS = (
    Row("cross attention, to learned slots", "sst2", "model.feed_forward=memory", SlotSoftmax),
    Row("self attention", "sst2", "model.attention.prior.kind=full", Attention),
    Row(
        "graph, sparse attention",
        "sst2",
        "model.attention.prior={kind: graph, edges: [[0, 0], [0, 1], [1, 1]], size: 64}",
        Graph,
    ),
    Row("relative positional encodings", "sst2", "model.attention.prior.kind=relative", Relative),
    Row("– as a rotation of queries and keys", "sst2", "model.positions=rotary", Rotary),
    Row("absolute positional encodings", "sst2", "model.positions=learned", LearnedPositions),
    Row("– as a prior", "sst2", "model.attention.prior.kind=absolute", Absolute),
    Row("classification layer", "shakespeare", "model.tied_readout=true", TiedLogits),
    Row("MCHN", "hopfield-value", "model.attention.value.kind=hopfield", Hopfield),
    Row("slot attention", "slots", "model={kind: slots, attention: {kind: dot_product_slots}}", DotProduct),
    Row("– of a sequence", "sst2", "model.attention.kind=dot_product_slots", DotProduct),
    Row("– with Gaussian edges", "slots", "model={kind: slots, attention: {kind: gaussian_slots}}", Gaussian),
    Row("– of a sequence, with Gaussian edges", "sst2", "model.attention.kind=gaussian_slots", Gaussian),
    Row("block-slot attention", "slots", "model={kind: slots, attention: {kind: block_slots}}", Blocks),
    Row("– of a sequence", "sst2", "model.attention.kind=block_slots", Blocks),
    Row("PCN", "slots", "model={kind: slots, attention: {kind: predictive_coding}}", Causes),
    Row("– of a sequence", "sst2", "model.attention.kind=predictive_coding", Causes),
    Row("multihop attention", "multihop", "model.attention.value.kind=multihop", Multihop),
    Row(
        "expanding attention",
        "expanding",
        "model.attention={prior: {kind: geometric}, edges: {kind: expanding}}",
        Expanding,
    ),
)


def tables() -> str:
    """Potentials, priors, edges and values, one row for each kind; rows of Table 1."""
    parts = (of_potentials(), of_priors(), of_edges(), of_values(), of_rows())
    return "\n\n".join("\n".join(part) for part in parts)


def of_potentials() -> list[str]:
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
    return rows


def of_priors() -> list[str]:
    """Beside the kinds, padding, which multiplies them all."""
    rows = [
        f"| prior | log p(edge) | learned of a head | edges visited of {TOKENS:,}² | made | keys kept | source |",
        "|---|---|---|---|---|---|---|",
    ]
    at = Sites(torch.arange(TOKENS), torch.ones(1, TOKENS, dtype=torch.bool), range(TOKENS))
    for member in members_of(config.Prior):
        module = whole(prior=made_of(member)).prior
        kept = "all" if module.horizon is None else "those within the window"
        learned = sum(of.numel() for of in module.parameters()) // 2
        cells = (formula(member), str(learned), *visits(module.log(at, at)), kept, source(module))
        rows.append(f"| `{kind_of(member)}` | " + " | ".join(cells) + " |")
    said = first_sentence(padding).removeprefix("log p(edge i -> j) = ")
    cells = (said, "0", *visits(padding(at, at)), "a text that grows has none", "–")
    rows.append("| padding, of the batch | " + " | ".join(cells) + " |")
    return rows


def visits(prior: LogPrior) -> tuple[str, str]:
    """Share of the pairs that a block of queries looks at, and how the logarithms get to a kernel."""
    reached = [prior.reach(rows, TOKENS) for rows in blocks_of(TOKENS)]
    share = sum(of.stop - of.start for of in reached) / len(reached) / TOKENS
    if not prior.factors:
        return f"{share:.2g}", "never: the fused kernel's own"
    return (
        f"{share:.2g}",
        "by blocks" if prior.learned else "short: whole, for the fused kernel; else by blocks",
    )


def of_edges() -> list[str]:
    rows = ["| edges | p(edge \\| x) | with potentials | with priors |", "|---|---|---|---|"]
    for member in members_of(config.Attention.model_fields["edges"].annotation):
        fits = (named(of, every) for of, every in ((member.potentials, "all"), (member.priors, "all")))
        rows.append(f"| `{kind_of(member)}` | {formula(member)} | " + " | ".join(fits) + " |")
    return rows


def named(fitting: tuple[type[Config], ...], every: str) -> str:
    return every if Config in fitting else ", ".join(f"`{kind_of(of)}`" for of in fitting)


def of_values() -> list[str]:
    rows = [
        "| value | what is averaged | averages | kept of a token | with edges | source |",
        "|---|---|---|---|---|---|",
    ]
    for member in members_of(config.Value):
        value = whole(value=made_of(member)).value
        edges = named(member.posteriors, "all")
        cells = (formula(member), averages(member), value_width(member), edges, source(value))
        rows.append(f"| `{kind_of(member)}` | " + " | ".join(cells) + " |")
    return rows


def averages(member: type[Config]) -> str:
    """How many expectations of a posterior it takes: a number, or the field that states it."""
    for field in sorted(set(member.model_fields) - {"kind"}):
        if all(counted(member(**{field: count})) == count for count in (2, 5)):
            return f"`{field}`"
    return str(counted(member()))


def counted(value: Config) -> int:
    """Expectations of the posterior that a value takes of tokens that attend to each other."""
    made, (x, at) = whole(value=value), tokens(16)
    posterior = made.posterior(x, at)
    lowering = Mock(wraps=posterior.lowering)
    made.value.mean(made.value(x, at), replace(posterior, lowering=lowering), at)
    return lowering.expectation.call_count


def of_rows() -> list[str]:
    rows = ["| row of table 1 | in YAML, such as `--set` has it | computed by | |", "|---|---|---|---|"]
    for row in ROWS:
        (found,) = {type(of) for of in parts_of(network(row)) if type(of) is row.module}
        file = found.__module__.removeprefix("precisionflow.").replace(".", "/") + ".py"
        rows.append(f"| {row.name} | `{row.setting}` | `{file}` | {first_sentence(found)} |")
    return rows


def network(row: Row) -> nn.Module:
    """A small network of the experiment as it is set: whatever the YAML cannot say is refused here."""
    match load(row.experiment, [row.setting, "ablation.axes={}"]).model:
        case Transformer() as model:
            return transformer(model, vocabulary=8, context=16, readout=TiedReadout)
        case Slots() as model:
            return grouping(model, pixels=16)
        case model:
            raise AssertionError(model)


def parts_of(made: nn.Module) -> list[object]:
    """Modules, and the edges that attention infers by no module of their own."""
    return [part for of in made.modules() for part in (of, getattr(of, "edges", None))]


def made_of(member: type[Config]) -> Config:
    return member(**SETTINGS.get(member, {}))


def whole(**parts: Config) -> nn.Module:
    return attention(config.Attention(**parts), width=16, heads=2)


def formula(member: type[Config]) -> str:
    """The first sentence of the configuration's docstring, without the name of what all rows give."""
    return first_sentence(member).removeprefix("log potential = ")


def first_sentence(of: object) -> str:
    first = " ".join((inspect.getdoc(of) or "").split("\n\n")[0].split())
    first = re.split(r"(?<!\.)(?<!et al)[.:] |; (?!k, )", first.rstrip("."))[0]
    return re.sub(r" \([^)]*$", "", first).replace("|", "\\|")


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
