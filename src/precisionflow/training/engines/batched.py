"""The engine `batched`: many small networks as one tensor program, seeds, splits and ensemble members side by side.

Every tensor has a leading axis of networks. Clipping, early stopping and the order of batches are each network's own. A
network's result does not depend on the others, but for the rounding of a batched product.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor, nn
from torch.func import stack_module_state

from precisionflow.config.training import Training
from precisionflow.data.streams import Use
from precisionflow.models.networks.dropout import derived
from precisionflow.training.cross_fit import CrossFit
from precisionflow.training.device import keep_freed_memory
from precisionflow.training.engines.not_finite import WEIGHTS_TOO
from precisionflow.training.files import reading, saving
from precisionflow.training.members import Member, batch_indices, padded
from precisionflow.training.optimiser import StackedAdamW
from precisionflow.training.rules.monitored import AttentionRow, Monitored
from precisionflow.training.rules.stacked import Gradients, NewWeights, StackedBatch, StackedRule
from precisionflow.training.schedule import share_of_average, share_of_peak
from precisionflow.training.standing import Interval

STATE = "program.pt"
Weights = dict[str, Tensor]
ROWS_AT_ONCE = 512
"""Validation rows of each network that are predicted at once: their hidden units, not their number, fill the memory."""


@dataclass(frozen=True)
class Table:
    """Standardised rows of every split as the networks see them, padded to the longest split."""

    features: Float[Tensor, "splits rows features"]
    target: Float[Tensor, "splits rows"]
    weight: Float[Tensor, "splits rows"]
    """Of the rows' losses, on any scale."""
    place: dict[int, int]
    """split -> index along the first axis."""


@dataclass
class Program:
    """The networks that still train; every tensor has them along its first axis."""

    networks: list[int]
    """Their indices among all networks."""
    weights: Weights
    average: Weights
    """Running mean of the weights, which is validated and kept; the weights themselves where there is none."""
    best: Weights
    optimiser: StackedAdamW


class Batched:
    """An `Engine` of the networks `members`, which start at `initial` and learn from rows of a `table` by a `rule`."""

    measures: ClassVar[tuple[str, ...]] = ("train_loss",)

    def __init__(
        self,
        rule: StackedRule,
        initial: Sequence[nn.Module],
        *,
        members: Sequence[Member],
        table: Table,
        training: Training,
        cross_fit: bool = False,
        resume: Path | None = None,
    ) -> None:
        self.rule = rule
        self.members = members
        self.table = table
        self.training = training
        self.count = len(members)
        self.device = table.features.device
        self.final: list[Weights] = [{} for _ in members]
        keep_freed_memory()
        self.cross_fit = CrossFit(members) if cross_fit else None
        if resume:
            self._load(resume)
            return
        weights, buffers = stack_module_state(list(initial))
        assert not buffers, "a network of numbers alone"
        self.program = self._start(list(range(self.count)), weights)

    def _start(self, networks: list[int], weights: Weights) -> Program:
        leaves = {name: w.detach().clone().to(self.device).requires_grad_() for name, w in weights.items()}
        average, best = ({name: leaf.detach().clone() for name, leaf in leaves.items()} for _ in range(2))
        optimiser = StackedAdamW(leaves, self.training, groups=self.rule.groups)
        return Program(networks, leaves, average, best, optimiser)

    def advance(self, first: int, last: int, interval: Interval) -> None:
        program, training = self.program, self.training
        members = [self.members[i] for i in program.networks]
        indices, used = batch_indices(members, first, last, batch_size=training.batch_size)
        place = torch.tensor([self.table.place[m.split] for m in members])[:, None]
        rows, weight = torch.from_numpy(indices), torch.from_numpy(used).to(self.device)
        weight = weight / (weight.sum(dim=1) * self._mean_weight(members))[:, None]
        keys = torch.tensor([m.stream.number(Use.DROPOUT) for m in members], device=self.device)
        for step in range(first, last):
            start = time.perf_counter()
            chosen = rows[:, step - first]
            inputs, target = self.table.features[place, chosen], self.table.target[place, chosen]
            each = weight * self.table.weight[place, chosen]
            batch = StackedBatch(inputs, target, each, step / training.steps, derived(keys, step))
            losses = self._learn(step, batch)
            if training.average:
                share = share_of_average(step, training.average)
                means, leaves = list(program.average.values()), program.weights.values()
                torch._foreach_lerp_(means, [leaf.detach() for leaf in leaves], share)
            seconds = (time.perf_counter() - start) / len(members)
            interval.add(losses.detach().cpu()[:, None], seconds=seconds)

    def _mean_weight(self, members: Sequence[Member]) -> Float[Tensor, "networks"]:
        """Mean weight of the rows that each network trains on."""
        weight, place = self.table.weight, self.table.place
        return torch.stack([weight[place[m.split], torch.from_numpy(m.train)].mean() for m in members])

    def _learn(self, step: int, batch: StackedBatch) -> Float[Tensor, "networks"]:
        """Take one step; each network's loss before it."""
        program, training = self.program, self.training
        match self.rule.learn(program.weights, batch):
            case NewWeights(losses=losses, weights=after):
                with torch.no_grad():
                    for name, tensor in after.items():
                        program.weights[name].copy_(tensor)
            case Gradients(losses=losses, gradients=gradients):
                clipped = _clipped(gradients, training.gradient_clip)
                named = dict(zip(program.weights, clipped, strict=True))
                program.optimiser.step(named, share=share_of_peak(step, training))
        return losses

    @torch.no_grad()
    def monitored(self, step: int) -> list[Monitored]:  # noqa: ARG002 - no rule of many networks settles
        return []

    def profiled(self) -> list[dict[str, float]]:
        return []

    def attended(self, step: int) -> list[list[AttentionRow]]:  # noqa: ARG002 - no network of rows attends
        return []

    def validate(self, going: Bool[Tensor, "networks"]) -> Float64[Tensor, "networks"]:
        program = self.program
        if not self.training.average:
            program.average = {name: leaf.detach().clone() for name, leaf in program.weights.items()}
        members = [self.members[i] for i in program.networks]
        rows, used = padded([m.valid for m in members])
        place = torch.tensor([self.table.place[m.split] for m in members])[:, None]
        mask, outputs, parts = torch.from_numpy(used), [], []
        weight = self._validation_weight(place, torch.from_numpy(rows), mask)
        for chosen in torch.from_numpy(rows).split(ROWS_AT_ONCE, dim=1):
            inputs, target = self.table.features[place, chosen], self.table.target[place, chosen]
            outputs.append(self.rule.outputs(program.average, inputs))
            parts.append(self.rule.negative_log_likelihood(outputs[-1], target).double().cpu())
        losses = torch.cat(parts, dim=1) * weight
        if self.cross_fit:
            raw, last = torch.cat(outputs, dim=1), not self.training.patience
            self.cross_fit.see(program.networks, raw, losses, mask, going=going, last=last)
        return torch.where(mask, losses, 0.0).sum(dim=1) / mask.sum(dim=1)

    def not_finite(self, place: int, *, step: int | None) -> str:  # noqa: ARG002
        """By the weights: the outputs of a layer are those of all networks at once."""
        bad = (name for name, of in self.program.weights.items() if not of[place].isfinite().all())
        return next((f"{name.rpartition('.')[0]}{WEIGHTS_TOO}" for name in bad), "a layer's, or the loss")

    def _validation_weight(
        self, place: Tensor, rows: Tensor, mask: Bool[Tensor, "networks rows"]
    ) -> Float64[Tensor, "networks rows"]:
        """Weights of validation rows over their mean; 0 at padding."""
        weight = torch.where(mask, self.table.weight[place, rows].double().cpu(), 0.0)
        return weight / (weight.sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True))

    @torch.no_grad()
    def keep(self, which: Bool[Tensor, "networks"]) -> None:
        chosen = which.to(self.device)
        for name, tensor in self.program.best.items():
            tensor[chosen] = self.program.average[name][chosen]

    def leave(self, gone: Bool[Tensor, "networks"]) -> None:
        for i in torch.nonzero(gone).flatten().tolist():
            best = self.program.best.items()
            self.final[self.program.networks[i]] = {name: of[i].detach().cpu().clone() for name, of in best}
        old, stay = self.program, torch.nonzero(~gone).flatten()
        where = stay.to(self.device)
        networks = [old.networks[i] for i in stay.tolist()]
        new = self._start(networks, {name: w[where] for name, w in old.weights.items()})
        new.average = {name: tensor[where] for name, tensor in old.average.items()}
        new.best = {name: tensor[where] for name, tensor in old.best.items()}
        new.optimiser.state = old.optimiser.state_of(where)
        self.program = new

    def weights(self) -> list[Weights]:
        return self.final

    def out_of_fold(self) -> list[Float[Tensor, "valid outputs"]]:
        if self.cross_fit is None or self.cross_fit.raw is None:
            return []
        return [
            raw[: len(member.valid)] for raw, member in zip(self.cross_fit.raw, self.members, strict=True)
        ]

    def save(self, folder: Path) -> None:
        program = self.program
        content = {
            "networks": program.networks,
            "weights": {name: leaf.detach() for name, leaf in program.weights.items()},
            "average": program.average,
            "best": program.best,
            "optimiser": program.optimiser.state,
            "final": self.final,
            "cross_fit": self.cross_fit and self.cross_fit.state,
        }
        with saving(folder / STATE) as file:
            torch.save(content, file)

    def _load(self, folder: Path) -> None:
        """Go on from what `save` wrote; ValueError when it cannot be read."""
        with reading(folder / STATE, checkpoint=folder.parent) as file:
            content: dict[str, Any] = torch.load(file, map_location=self.device, weights_only=True)
        self.program = self._start(content["networks"], content["weights"])
        self.program.average, self.program.best = content["average"], content["best"]
        self.program.optimiser.state = content["optimiser"]
        self.final = [{name: of.cpu() for name, of in one.items()} for one in content["final"]]
        if self.cross_fit:
            self.cross_fit.restore(content["cross_fit"])

    def close(self) -> None:
        del self.program


def _clipped(gradients: Sequence[Tensor], clip: float | None) -> Sequence[Tensor]:
    """Gradients of each network, scaled to a norm over all its tensors of at most `clip`."""
    if not clip:
        return gradients
    squares = torch.stack([g.flatten(1).square().sum(dim=1) for g in gradients]).sum(dim=0)
    scale = (clip / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    return [g * scale.view(-1, *[1] * (g.dim() - 1)) for g in gradients]
