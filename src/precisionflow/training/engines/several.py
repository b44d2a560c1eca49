"""Several networks in one process, each in an engine of its own: members of an ensemble that see the same steps."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from precisionflow.records.files import write_text
from precisionflow.training.engines.engine import Engine
from precisionflow.training.engines.single import SingleNetwork
from precisionflow.training.files import reading
from precisionflow.training.rules.monitored import AttentionRow, Monitored
from precisionflow.training.standing import Interval

MEMBER = "member-{}"
"""Folder of an engine inside a checkpoint."""
GOING = "going.json"
"""Numbers of the networks that still train, inside a checkpoint."""


class Several:
    """An `Engine` of as many networks as engines of one; a network's result does not depend on the others."""

    measures: ClassVar = SingleNetwork.measures

    def __init__(self, opened: Sequence[Callable[[Path | None], Engine]], *, resume: Path | None) -> None:
        """Each of `opened` gives an engine at the state in a folder, if given."""
        folders = [resume and resume / MEMBER.format(index) for index in range(len(opened))]
        self.engines = [opens(folder) for opens, folder in zip(opened, folders, strict=True)]
        self.count = len(self.engines)
        self.going = list(range(self.count))
        """Numbers of the networks that still train, in order."""
        if resume:
            with reading(resume / GOING, checkpoint=resume.parent) as file:
                self.going = json.loads(file.read_text(encoding="utf-8"))

    def advance(self, first: int, last: int, interval: Interval) -> None:
        each = [Interval.empty(1, len(self.measures)) for _ in self.going]
        for network, of in zip(self.going, each, strict=True):
            self.engines[network].advance(first, last, of)
        interval.add_side_by_side(each)

    def profiled(self) -> list[dict[str, float]]:
        return [found for network in self.going for found in self.engines[network].profiled()]

    def monitored(self, step: int) -> list[Monitored]:
        return [seen for network in self.going for seen in self.engines[network].monitored(step)]

    def attended(self, step: int) -> list[list[AttentionRow]]:
        return [rows for network in self.going for rows in self.engines[network].attended(step)]

    def validate(self, going: Bool[Tensor, "networks"]) -> Float64[Tensor, "networks"]:
        parts = zip(self.going, going.split(1), strict=True)
        return torch.cat([self.engines[network].validate(of) for network, of in parts])

    def not_finite(self, place: int, *, step: int | None) -> str | None:
        return self.engines[self.going[place]].not_finite(0, step=step)

    def keep(self, which: Bool[Tensor, "networks"]) -> None:
        for network, of in zip(self.going, which.split(1), strict=True):
            self.engines[network].keep(of)

    def leave(self, gone: Bool[Tensor, "networks"]) -> None:
        for network, of in zip(self.going, gone.split(1), strict=True):
            self.engines[network].leave(of)
        self.going = [network for network, left in zip(self.going, gone.tolist(), strict=True) if not left]

    def weights(self) -> list[dict[str, Tensor]]:
        return [weights for engine in self.engines for weights in engine.weights()]

    def out_of_fold(self) -> list[Float[Tensor, "valid outputs"]]:
        return []

    def save(self, folder: Path) -> None:
        write_text(json.dumps(self.going), folder / GOING)
        for index, engine in enumerate(self.engines):
            of = folder / MEMBER.format(index)
            of.mkdir()
            engine.save(of)

    def close(self) -> None:
        for engine in self.engines:
            engine.close()
