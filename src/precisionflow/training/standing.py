"""Standing of a training: the history of every network, its best validation, whether it still trains."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from precisionflow.records.files import read_parquet, write_parquet, write_text
from precisionflow.records.schemas import NETWORK_ATTENTION, NETWORK_HISTORY, SETTLING
from precisionflow.training.files import reading
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules.monitored import AttentionRow, SettlingRow

HISTORIES, SETTLINGS, ATTENTIONS = "history.parquet", "settling.parquet", "attention.parquet"
"""Files inside a checkpoint."""
Entry = tuple[int, str, float]
"""step, metric, value."""


@dataclass
class Interval:
    """Sums over the steps since the last validation, on this rank."""

    sums: Float64[Tensor, "networks measures"]
    """Sum of every measure of the engine."""
    steps: int = 0
    seconds: float = 0.0
    """Seconds of one network."""
    finite: Int[Tensor, "networks"] = field(init=False)
    """Steps before the first loss, the first measure, that is not finite: counted where it is, without a wait."""

    def __post_init__(self) -> None:
        self.finite = torch.full((len(self.sums),), self.steps)

    @classmethod
    def empty(cls, networks: int, measures: int) -> "Interval":
        return cls(torch.zeros(networks, measures, dtype=torch.float64))

    def add(self, values: Float[Tensor, "networks measures"], *, seconds: float) -> None:
        """Add what one step measured."""
        self.sums = self.sums.to(values.device) + values.detach().double()
        self.finite = self.finite.to(values.device) + self.sums[:, 0].isfinite()
        self.steps += 1
        self.seconds += seconds

    def add_side_by_side(self, networks: Sequence["Interval"]) -> None:
        """Add the intervals of single networks, all of the same steps."""
        device = networks[0].sums.device
        self.sums = self.sums.to(device) + torch.cat([of.sums for of in networks])
        self.finite = self.finite.to(device) + torch.cat([of.finite for of in networks])
        self.steps += networks[0].steps
        self.seconds += sum(of.seconds for of in networks) / len(networks)

    def finite_steps(self, ranks: Ranks) -> list[int]:
        """Steps of each network before the first whose loss is not finite on a rank."""
        return [-ranks.greatest(-steps) for steps in self.finite.tolist()]

    def share(self, ranks: Ranks) -> None:
        """Give every rank the mean over ranks, so that what the first one writes stands for all of them."""
        total = ranks.sum(self._flat().to(ranks.device)) / ranks.count
        *sums, self.seconds = total.tolist()
        self.sums = torch.tensor(sums, dtype=torch.float64).view(self.sums.shape)

    def means(self, ranks: Ranks) -> tuple[Float64[Tensor, "networks measures"], float]:
        """Means over steps and ranks: of every measure, and of the seconds of a step."""
        total = ranks.sum(self._flat().to(ranks.device)) / (ranks.count * self.steps)
        return total[:-1].view(self.sums.shape).cpu(), float(total[-1])

    def _flat(self) -> Tensor:
        return torch.tensor([*self.sums.flatten().tolist(), self.seconds], dtype=torch.float64)


@dataclass
class Outcome:
    """Outcome of the training of one network."""

    history: list[Entry] = field(default_factory=list)
    settling: list[SettlingRow] = field(default_factory=list)
    attention: list[AttentionRow] = field(default_factory=list)
    """Both empty where nothing is monitored."""
    loss: float = math.inf
    """Validation loss of the weights that are kept."""
    steps: int = 0
    """Optimiser steps taken."""


@dataclass
class Standing:
    """All networks of a training; the vectors are of those that still train, in the order of `networks`."""

    outcomes: list[Outcome]
    networks: list[int]
    interval: Interval
    best_loss: Float64[Tensor, "networks"]
    best_step: Int[Tensor, "networks"]
    stale: Int[Tensor, "networks"]
    """Validations since the best."""
    step: int = 0
    """Optimiser steps taken."""

    @classmethod
    def start(cls, count: int, *, measures: int) -> "Standing":
        """Standing of `count` networks before their first step."""
        return cls(
            [Outcome() for _ in range(count)],
            list(range(count)),
            Interval.empty(count, measures),
            torch.full((count,), math.inf, dtype=torch.float64),
            torch.zeros(count, dtype=torch.int64),
            torch.zeros(count, dtype=torch.int64),
        )

    @property
    def validated(self) -> int:
        """Step of the last validation of a network that still trains; 0: none."""
        histories = (self.outcomes[network].history for network in self.networks)
        steps = (step for history in histories for step, name, _ in history if name == "validation_loss")
        return max(steps, default=0)

    def going(self, patience: int | None) -> Bool[Tensor, "networks"]:
        """Networks that early stopping has not stopped."""
        return self.stale < (patience or math.inf)

    def judge(self, losses: Float64[Tensor, "networks"], *, patience: int | None) -> Bool[Tensor, "networks"]:
        """Take in a validation; True where the weights are to be kept: with `patience` the best, else the last."""
        going = self.going(patience)
        kept = going & (losses < self.best_loss) if patience else going
        self.best_loss = torch.where(kept, losses, self.best_loss)
        self.best_step[kept] = self.step
        self.stale = torch.where(kept, 0, self.stale + 1)
        return kept

    def leave(self, gone: Bool[Tensor, "networks"], *, patience: int | None, validate_every: int) -> None:
        """Record the outcome of the networks that are `gone`, and go on without them."""
        for i in torch.nonzero(gone).flatten().tolist():
            outcome = self.outcomes[self.networks[i]]
            outcome.loss = float(self.best_loss[i])
            stopped = patience and int(self.stale[i]) >= patience
            last = int(self.best_step[i]) + (patience or 0) * validate_every
            outcome.steps = min(last, self.step) if stopped else self.step
            outcome.history = [entry for entry in outcome.history if entry[0] <= outcome.steps]
            outcome.settling = [row for row in outcome.settling if row.step <= outcome.steps]
            outcome.attention = [row for row in outcome.attention if row.step <= outcome.steps]
        stay = torch.nonzero(~gone).flatten()
        self.networks = [self.networks[i] for i in stay.tolist()]
        self.best_loss, self.best_step, self.stale = (
            of[stay] for of in (self.best_loss, self.best_step, self.stale)
        )
        self.interval = Interval.empty(len(stay), self.interval.sums.shape[1])

    def write(self, folder: Path) -> None:
        """Numbers as JSON, histories as Parquet."""
        histories = numbered([outcome.history for outcome in self.outcomes], NETWORK_HISTORY)
        settling = numbered([outcome.settling for outcome in self.outcomes], SETTLING)
        write_parquet(histories, folder / HISTORIES, NETWORK_HISTORY)
        write_parquet(settling, folder / SETTLINGS, SETTLING)
        attention = numbered([outcome.attention for outcome in self.outcomes], NETWORK_ATTENTION)
        write_parquet(attention, folder / ATTENTIONS, NETWORK_ATTENTION)
        numbers = {
            "step": self.step,
            "networks": self.networks,
            "best_loss": self.best_loss.tolist(),
            "best_step": self.best_step.tolist(),
            "stale": self.stale.tolist(),
            "outcomes": [[outcome.loss, outcome.steps] for outcome in self.outcomes],
            "interval": {
                "sums": self.interval.sums.tolist(),
                "steps": self.interval.steps,
                "seconds": self.interval.seconds,
            },
        }
        write_text(json.dumps(numbers), folder / "progress.json")

    @classmethod
    def read(cls, folder: Path) -> "Standing":
        """The standing that `write` wrote; ValueError when it is not whole."""
        with reading(folder / "progress.json", checkpoint=folder) as path:
            numbers: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        outcomes = [Outcome(loss=loss, steps=steps) for loss, steps in numbers["outcomes"]]
        with reading(folder / HISTORIES, checkpoint=folder) as path:
            for row in read_parquet(path, NETWORK_HISTORY).to_pylist():
                outcomes[row["network"]].history.append((row["step"], row["metric"], row["value"]))
        with reading(folder / SETTLINGS, checkpoint=folder) as path:
            for row in read_parquet(path, SETTLING).to_pylist():
                outcomes[row.pop("network")].settling.append(SettlingRow(**row))
        with reading(folder / ATTENTIONS, checkpoint=folder) as path:
            for row in read_parquet(path, NETWORK_ATTENTION).to_pylist():
                outcomes[row.pop("network")].attention.append(AttentionRow(**row))
        kept = numbers["interval"]
        sums = torch.tensor(kept["sums"], dtype=torch.float64)
        return cls(
            outcomes,
            numbers["networks"],
            Interval(sums, kept["steps"], kept["seconds"]),
            torch.tensor(numbers["best_loss"], dtype=torch.float64),
            torch.tensor(numbers["best_step"], dtype=torch.int64),
            torch.tensor(numbers["stale"], dtype=torch.int64),
            numbers["step"],
        )


def numbered(of_networks: Sequence[Sequence[tuple[Any, ...]]], schema: pa.Schema) -> pa.Table:
    """Rows of every network, its number before them."""
    return table([(network, *row) for network, rows in enumerate(of_networks) for row in rows], schema)


def table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    """Rows as a table of a schema."""
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema)
