"""Analyses: studies whose runs are laid out over ranges of settings, for what is said of the ranges as a whole."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from precisionflow.config.base import NUMBER, Config, Flag, Label, Seed

SIGNIFICANT = 4
"""Digits of the values that a range gives."""
End = Annotated[float, Field(allow_inf_nan=False), NUMBER]


class Range(Config):
    """Numbers between two ends, which are among them."""

    kind: Literal["range"] = "range"
    low: End
    high: End
    scale: Literal["linear", "log"] = "linear"
    """What is spread evenly: the number or its logarithm."""
    whole: Flag = False
    """Whole numbers alone; others between the ends are rounded to four significant digits."""

    @property
    def fault(self) -> str:
        """What is wrong with the ends, and what to write; empty where nothing is."""
        if self.low >= self.high:
            return f"given a range from {self.low:g} to {self.high:g}; write low below high"
        if self.scale == "log" and self.low <= 0:
            return f"given a range from {self.low:g} with scale log; write low above 0, or scale: linear"
        return ""

    def value(self, place: float) -> float | int:
        """The number at a place from 0, the low end, to 1, the high end."""
        if self.scale == "log":
            number = self.low * (self.high / self.low) ** place
        else:
            number = self.low + (self.high - self.low) * place
        if self.whole:
            return round(number)
        return float(f"{number:.{SIGNIFICANT}g}") if 0 < place < 1 else (self.low, self.high)[round(place)]

    def drawn(self, share: float) -> float:
        """Place of the number that a share of all runs, from 0 to 1, falls to.

        The share itself; of whole numbers k that from k - 1/2 to k + 1/2, so that the two ends are as likely as others.
        """
        if not self.whole:
            return share
        low, high = self.low - 0.5, self.high + 0.5
        if self.scale == "log":
            low = low if low > 0 else self.low
            number = low * (high / low) ** share
        else:
            number = low + (high - low) * share
        return self.place(min(max(round(number), math.ceil(self.low)), math.floor(self.high)))

    def place(self, value: Any) -> float:
        """Place of a number; NaN of what is none between the ends."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return math.nan
        if not self.low <= value <= self.high:
            return math.nan
        if self.scale == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


class Choice(Config):
    """A list of values of any kind, in the order in which they are steps from each other."""

    kind: Literal["choice"] = "choice"
    values: Annotated[tuple[Any, ...], Field(min_length=2)]

    def value(self, place: float) -> Any:
        """The value nearest to a place from 0, the first one, to 1, the last one."""
        return self.values[min(int(place * (len(self.values) - 1) + 0.5), len(self.values) - 1)]

    def drawn(self, share: float) -> float:
        """Place of the value that a share of all runs, from 0 to 1, falls to: each value has as many."""
        last = len(self.values) - 1
        return min(int(share * (last + 1)), last) / last

    def place(self, value: Any) -> float:
        """Place of a value; NaN of what is none of them."""
        return self.values.index(value) / (len(self.values) - 1) if value in self.values else math.nan


Parameter = Annotated[Range | Choice, Field(discriminator="kind")]
Levels = Annotated[int, Field(ge=2), NUMBER]


class Sweep(Config):
    """The experiment's own settings; then each parameter alone at each of its levels."""

    kind: Literal["one_at_a_time"] = "one_at_a_time"
    levels: Levels = 5
    """Values of a range, evenly apart."""


class Morris(Config):
    """Elementary effects along random trajectories, each of which moves every parameter once (Morris 1991)."""

    kind: Literal["morris"] = "morris"
    trajectories: Levels = 8
    levels: Levels = 4
    """Values of a range, evenly apart; a step moves by half of them."""
    seed: Seed = 0
    """Of the draw."""


class Sobol(Config):
    """Shares of the variance over the whole ranges (Sobol 1993), by the runs of Saltelli et al. (2010)."""

    kind: Literal["sobol"] = "sobol"
    samples: Annotated[int, Field(ge=8), NUMBER] = 64
    """Rows of each of the two samples, a power of 2; the runs are samples * (parameters + 2)."""
    seed: Seed = 0
    """Of the scrambling of Sobol's sequence."""

    @model_validator(mode="after")
    def _is_a_power_of_two(self) -> Self:
        if self.samples & (self.samples - 1):
            raise ValueError(
                f"analysis.method.samples: given {self.samples}; write a power of 2, such as "
                f"{2 ** self.samples.bit_length()}, at which Sobol's sequence is balanced"
            )
        return self


Method = Annotated[Sweep | Morris | Sobol, Field(discriminator="kind")]


class Sensitivity(Config):
    """How far each setting moves the metrics, where they hold, and which value is to be recommended."""

    kind: Literal["sensitivity"] = "sensitivity"
    method: Method = Morris()
    parameters: Annotated[dict[Label, Parameter], Field(min_length=1)]
    """Dotted key of a setting -> where it is varied."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Dotted keys that the runs set."""
        return tuple(self.parameters)

    @model_validator(mode="after")
    def _ends_are_apart(self) -> Self:
        for key, parameter in self.parameters.items():
            if isinstance(parameter, Range) and parameter.fault:
                raise ValueError(f"analysis.parameters.{key}: {parameter.fault}")
        return self


Size = Annotated[float, Field(gt=0, allow_inf_nan=False), NUMBER]
FEWEST_SIZES = 4
"""Sizes that a law of three numbers takes, with one to spare."""


class Scaling(Config):
    """How loss and cost change with sizes: power laws with intervals, where cost departs from its law, isoFLOP."""

    kind: Literal["scaling"] = "scaling"
    sizes: Annotated[
        dict[Label, Annotated[tuple[Size, ...], Field(min_length=FEWEST_SIZES)]], Field(min_length=1)
    ]
    """Dotted key of a number -> its sizes: layers, width, heads, tokens of the context, rows of a batch, steps or rows
    that are learned from."""
    design: Literal["one_at_a_time", "product"] = "one_at_a_time"
    """one_at_a_time: each alone, the others at the experiment's own. product: every combination, which the law of
    parameters and data together and the isoFLOP table need."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Dotted keys that the runs set."""
        return tuple(self.sizes)

    @model_validator(mode="after")
    def _sizes_differ(self) -> Self:
        for key, sizes in self.sizes.items():
            if len(set(sizes)) < len(sizes):
                raise ValueError(
                    f"analysis.sizes.{key}: given {', '.join(f'{size:g}' for size in sizes)}; name each size once"
                )
        return self


class Performance(Config):
    """What the variants of the axes cost: time by phase and layer, memory, speed, quality against compute."""

    kind: Literal["performance"] = "performance"

    @property
    def keys(self) -> tuple[str, ...]:
        """Dotted keys that the runs set: none, the axes do."""
        return ()


Analysis = Annotated[Sensitivity | Scaling | Performance, Field(discriminator="kind")]
