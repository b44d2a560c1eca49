"""Designs: which combinations of the axes' levels become variants."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from precisionflow.config.base import Config, Count, Label, Seed


class Product(Config):
    """Every combination of its parts, the last part fastest."""

    kind: Literal["product"] = "product"
    of: "tuple[Part, ...]" = ()
    """Axes, or designs; none: every axis."""


class Zip(Config):
    """The first combinations of all parts together, then the second ones, ...; the parts have equally many.

    Its axes move together, so they are contrasted together.
    """

    kind: Literal["zip"] = "zip"
    of: "tuple[Part, ...]" = ()
    """Axes, or designs; none: every axis."""


class Chain(Config):
    """Combinations of one design, then those of the next that are new; an axis that one does not name is at its first
    level there."""

    kind: Literal["chain"] = "chain"
    of: "Annotated[tuple[Design, ...], Field(min_length=2)]"
    """Designs."""


class OneAtATime(Config):
    """All parts at their first combination; then each other combination of each part, the rest at the first."""

    kind: Literal["one_at_a_time"] = "one_at_a_time"
    of: "tuple[Part, ...]" = ()
    """Axes, or designs; none: every axis."""


class LeaveOneOut(Config):
    """All parts at their last combination; then each other combination of each part, the rest at the last."""

    kind: Literal["leave_one_out"] = "leave_one_out"
    of: "tuple[Part, ...]" = ()
    """Axes, or designs; none: every axis."""


class RandomSubset(Config):
    """`size` combinations of the product of its parts, every subset of them with the same probability."""

    kind: Literal["random_subset"] = "random_subset"
    of: "tuple[Part, ...]" = ()
    """Axes, or designs; none: every axis."""
    size: Count
    seed: Seed = 0
    """Of the draw."""


Design = Annotated[
    Product | Zip | Chain | OneAtATime | LeaveOneOut | RandomSubset, Field(discriminator="kind")
]


def _kind(part: Any) -> Any:
    """ "axis" of a name; else the kind of a design."""
    if isinstance(part, str):
        return "axis"
    return part.get("kind") if isinstance(part, dict) else getattr(part, "kind", None)


Part = Annotated[
    Annotated[Label, Tag("axis")]
    | Annotated[Product, Tag("product")]
    | Annotated[Zip, Tag("zip")]
    | Annotated[Chain, Tag("chain")]
    | Annotated[OneAtATime, Tag("one_at_a_time")]
    | Annotated[LeaveOneOut, Tag("leave_one_out")]
    | Annotated[RandomSubset, Tag("random_subset")],
    Discriminator(_kind),
]
"""Name of an axis, or a design."""

for _design in (Product, Zip, Chain, OneAtATime, LeaveOneOut, RandomSubset):
    _design.model_rebuild()
