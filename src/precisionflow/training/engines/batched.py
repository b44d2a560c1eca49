"""Many small networks as one tensor program: seeds, splits and ensemble members side by side.

Every tensor has a leading axis of networks. The loss is the sum over networks of each one's mean, so each gets its own
gradient; clipping, early stopping and the order of batches are each network's own too. A network's result does not
depend on the others, but for the rounding of a batched product.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from precisionflow.config.likelihoods import Objective
from precisionflow.config.training import Training
from precisionflow.training.checkpoint import reading, saving
from precisionflow.training.cross_fit import HeldOut
from precisionflow.training.engine import REST
from precisionflow.training.loop import learning_rate
from precisionflow.training.members import Member, batch_indices, padded
from precisionflow.training.objectives import teaching_losses, validation_losses

STILL_RUNNING = 0.8
"""When fewer than this share of the networks in the program are still training, the others are taken out."""

Stacked = dict[str, Tensor]
Report = Callable[[int, list[int], dict[str, Tensor]], None]
"""(step, indices of the networks that trained up to it, what was measured of each)."""


@dataclass(frozen=True)
class Table:
    """Rows of every split, filled up with rows that nobody reads; as the networks see them, standardised."""

    features: Float[Tensor, "splits rows features"]
    target: Float[Tensor, "splits rows"]
    place: dict[int, int]
    """split -> index along the first axis."""


@dataclass
class State:
    """The networks that are in the program, and where each of them stands."""

    networks: list[int]
    """Their indices among all networks."""
    weights: Stacked
    average: Stacked
    best: Stacked
    best_loss: Tensor
    best_step: Tensor
    stale: Tensor
    optimiser: torch.optim.AdamW
    step: int = 0


@dataclass
class Outcome:
    """What training left of one network."""

    weights: dict[str, Tensor] = field(default_factory=dict)
    loss: float = math.inf
    """Validation loss of the weights."""
    steps: int = 0
    history: list[tuple[int, str, float]] = field(default_factory=list)
    held_out: Float[Tensor, "valid outputs"] | None = None
    """Raw outputs for the rows that it left out (training/held_out.py), where asked for."""


class Program:
    """The networks `members`, which have the form of `template` and start at `initial`, on the rows of a `table`."""

    def __init__(
        self,
        template: nn.Module,
        initial: Sequence[nn.Module],
        *,
        members: Sequence[Member],
        table: Table,
        objective: Objective,
        training: Training,
        held_out: bool = False,
    ) -> None:
        self.template = template
        self.members = members
        self.table = table
        self.objective = objective
        self.training = training
        self.outcomes = [Outcome() for _ in members]
        self.held_out = HeldOut(members) if held_out else None
        self.device = table.features.device
        weights, buffers = stack_module_state(list(initial))
        assert not buffers, "a network of numbers alone"
        self.state = self._start(list(range(len(members))), weights)

    def _start(self, networks: list[int], weights: Stacked) -> State:
        leaves = {name: w.detach().clone().to(self.device).requires_grad_() for name, w in weights.items()}
        copies = ({name: leaf.detach().clone() for name, leaf in leaves.items()} for _ in range(2))
        count = len(networks)
        return State(
            networks,
            leaves,
            next(copies),
            next(copies),
            torch.full((count,), math.inf, dtype=torch.float64),
            torch.zeros(count, dtype=torch.int64),
            torch.zeros(count, dtype=torch.int64),
            self._optimiser(leaves),
        )

    def _optimiser(self, leaves: Stacked) -> torch.optim.AdamW:
        apart = getattr(self.objective, "precision_weight_decay", None)
        groups: dict[float, list[Tensor]] = {}
        for name, leaf in leaves.items():
            decay = self.training.weight_decay if apart is None or REST not in name else apart
            groups.setdefault(decay, []).append(leaf)
        return torch.optim.AdamW(
            [{"params": of, "weight_decay": decay} for decay, of in groups.items()],
            lr=self.training.learning_rate,
        )

    def train(self, *, report: Report, checkpoint: Callable[[], None]) -> list[Outcome]:
        """Train to the end; `checkpoint` is called at every tenth of the steps."""
        training = self.training
        every = training.checkpoint_every or math.ceil(training.steps / 10)
        saved = self.state.step
        while self.state.networks and self.state.step < training.steps:
            first = self.state.step
            last = min(training.steps, (first // training.validate_every + 1) * training.validate_every)
            begun = time.perf_counter()
            losses = self._steps(first, last)
            seconds = (time.perf_counter() - begun) / (last - first) / len(self.state.networks)
            self._validate(losses / (last - first), seconds, report)
            if self.state.step - saved >= every and self.state.step < training.steps:
                checkpoint()
                saved = self.state.step
        self._leave(torch.ones(len(self.state.networks), dtype=torch.bool))
        if self.held_out and self.held_out.raw is not None:
            for outcome, raw, member in zip(self.outcomes, self.held_out.raw, self.members, strict=True):
                outcome.held_out = raw[: len(member.valid)]
        return self.outcomes

    def _steps(self, first: int, last: int) -> Float[Tensor, "networks"]:
        """Optimiser steps; the sum of each network's losses."""
        state, training = self.state, self.training
        members = [self.members[i] for i in state.networks]
        indices, used = batch_indices(members, first, last, batch_size=training.batch_size)
        leaves = list(state.weights.values())
        place = torch.tensor([self.table.place[m.split] for m in members])[:, None]
        rows, weight = torch.from_numpy(indices), torch.from_numpy(used).to(self.device)
        weight = weight / weight.sum(dim=1, keepdim=True)
        total = torch.zeros(len(members), dtype=torch.float64)
        self.template.train()
        for step in range(first, last):
            chosen = rows[:, step - first]
            inputs, target = self.table.features[place, chosen], self.table.target[place, chosen]
            losses = self._learn(step, inputs, target, weight)
            if training.average:
                share = 1 - min(training.average, (step + 1) / (step + 10))
                means = list(state.average.values())
                torch._foreach_lerp_(means, [leaf.detach() for leaf in leaves], share)
            total += losses.detach().double().cpu()
        state.step = last
        return total

    def _learn(self, step: int, inputs: Tensor, target: Tensor, weight: Tensor) -> Float[Tensor, "networks"]:
        """One step on the rows of a batch, whose weights sum to 1 for each network; each network's loss before it."""
        state, training = self.state, self.training
        losses_of = teaching_losses(self.objective, progress=step / training.steps)
        losses = (self._losses(state.weights, inputs, target, losses_of) * weight).sum(dim=1)
        leaves = list(state.weights.values())
        gradients = torch.autograd.grad(losses.sum(), leaves)
        for leaf, gradient in zip(leaves, _clipped(gradients, training.gradient_clip), strict=True):
            leaf.grad = gradient
        for group in state.optimiser.param_groups:
            group["lr"] = learning_rate(step, training)
        state.optimiser.step()
        return losses

    def _stated(self, weights: Stacked, inputs: Tensor) -> Any:
        """Raw outputs of each network for its rows."""

        def of_one(one: Stacked, x: Tensor) -> Tensor:
            return functional_call(self.template, one, (x,))

        return torch.vmap(of_one)(weights, inputs)

    def _scored(self, stated: Any, target: Tensor) -> Float[Tensor, "networks rows"]:
        """Negative log-likelihood of each row."""
        return validation_losses(self.objective)(stated, target)

    def _losses(
        self, weights: Stacked, inputs: Tensor, target: Tensor, losses_of: Callable[..., Any]
    ) -> Float[Tensor, "networks rows"]:
        def of_one(one: Stacked, x: Tensor, y: Tensor) -> Tensor:
            return losses_of(functional_call(self.template, one, (x,)), y)  # type: ignore[no-any-return]

        return torch.vmap(of_one, randomness="different")(weights, inputs, target)

    @torch.no_grad()
    def _validate(self, losses: Tensor, seconds: float, report: Report) -> None:
        """Measure, keep the best weights, let those go that have stopped."""
        state, training = self.state, self.training
        if not training.average:
            state.average = {name: leaf.detach().clone() for name, leaf in state.weights.items()}
        going = state.stale < (training.patience or math.inf)
        measured = self._validation_losses(state.average, going)
        for i, network in enumerate(state.networks):
            found = {
                "train_loss": float(losses[i]),
                "validation_loss": float(measured[i]),
                "seconds_per_step": seconds,
            }
            self.outcomes[network].history += [(state.step, name, value) for name, value in found.items()]
            if not math.isfinite(found["validation_loss"]):
                raise ValueError(
                    f"validation loss is {found['validation_loss']} at step {state.step} of "
                    f"seed {self.members[network].seed}, split {self.members[network].split}; "
                    "lower training.learning_rate or training.gradient_clip"
                )
        kept = going & (measured < state.best_loss if training.patience else True)
        state.best_loss = torch.where(kept, measured, state.best_loss)
        state.best_step[kept] = state.step
        state.stale = torch.where(kept, 0, state.stale + 1)
        for name, tensor in state.best.items():
            tensor[kept.to(self.device)] = state.average[name][kept.to(self.device)]
        report(state.step, state.networks, {"train_loss": losses, "validation_loss": measured})
        stopped = state.stale >= (training.patience or math.inf)
        if stopped.sum() > (1 - STILL_RUNNING) * len(stopped) or stopped.all():
            self._leave(stopped)

    def _validation_losses(
        self, weights: Stacked, going: Bool[Tensor, "networks"]
    ) -> Float[Tensor, "networks"]:
        members = [self.members[i] for i in self.state.networks]
        rows, used = padded([m.valid for m in members])
        place = torch.tensor([self.table.place[m.split] for m in members])[:, None]
        chosen = torch.from_numpy(rows)
        inputs, target = self.table.features[place, chosen], self.table.target[place, chosen]
        self.template.eval()
        stated = self._stated(weights, inputs)
        losses = self._scored(stated, target).double().cpu()
        mask = torch.from_numpy(used)
        if self.held_out:
            last = not self.training.patience
            self.held_out.see(self.state.networks, stated, losses, mask, going=going, last=last)
        return torch.where(mask, losses, 0.0).sum(dim=1) / mask.sum(dim=1)

    def _leave(self, gone: Bool[Tensor, "networks"]) -> None:
        """Write down what the networks that are `gone` came to, and go on without them."""
        state, training = self.state, self.training
        for i in torch.nonzero(gone).flatten().tolist():
            outcome = self.outcomes[state.networks[i]]
            outcome.weights = {name: tensor[i].detach().cpu().clone() for name, tensor in state.best.items()}
            outcome.loss = float(state.best_loss[i])
            stopped = training.patience and int(state.stale[i]) >= training.patience
            last = int(state.best_step[i]) + (training.patience or 0) * training.validate_every
            outcome.steps = min(last, training.steps) if stopped else state.step
            outcome.history = [entry for entry in outcome.history if entry[0] <= outcome.steps]
        stay = torch.nonzero(~gone).flatten()
        self.state = self._only(stay)

    def _only(self, stay: Int[Tensor, "networks"]) -> State:
        old, where = self.state, stay.to(self.device)
        new = self._start(
            [old.networks[i] for i in stay.tolist()], {n: w[where] for n, w in old.weights.items()}
        )
        new.average = {name: tensor[where] for name, tensor in old.average.items()}
        new.best = {name: tensor[where] for name, tensor in old.best.items()}
        new.best_loss, new.best_step, new.stale = (t[stay] for t in (old.best_loss, old.best_step, old.stale))
        new.step = old.step
        for name, leaf in new.weights.items():
            before = old.optimiser.state.get(old.weights[name])
            if before:
                new.optimiser.state[leaf] = {
                    key: value[where] if value.dim() else value for key, value in before.items()
                }
        return new

    def save(self, folder: Path) -> None:
        """Everything that a checkpoint needs."""
        state = self.state
        content = {
            "networks": state.networks,
            "weights": {name: leaf.detach() for name, leaf in state.weights.items()},
            "average": state.average,
            "best": state.best,
            "best_loss": state.best_loss,
            "best_step": state.best_step,
            "stale": state.stale,
            "step": state.step,
            "optimiser": state.optimiser.state_dict(),
            "outcomes": [vars(outcome) for outcome in self.outcomes],
            "held_out": self.held_out and {"best": self.held_out.best, "raw": self.held_out.raw},
        }
        with saving(folder / "program.pt") as file:
            torch.save(content, file)

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote; ValueError when it cannot be read."""
        with reading(folder / "program.pt", checkpoint=folder.parent) as file:
            content = torch.load(file, map_location=self.device, weights_only=True)
        state = self._start(content["networks"], content["weights"])
        for name in ("average", "best", "step"):
            setattr(state, name, content[name])
        for name in ("best_loss", "best_step", "stale"):
            setattr(state, name, content[name].cpu())
        state.optimiser.load_state_dict(content["optimiser"])
        self.outcomes = [Outcome(**outcome) for outcome in content["outcomes"]]
        if self.held_out:
            kept = content["held_out"]
            self.held_out.best, self.held_out.raw = kept["best"].cpu(), kept["raw"].cpu()
        self.state = state


def _clipped(gradients: Sequence[Tensor], clip: float | None) -> Sequence[Tensor]:
    """Each network's gradient, no longer than `clip` over all its tensors."""
    if not clip:
        return gradients
    squares = torch.stack([g.flatten(1).square().sum(dim=1) for g in gradients]).sum(dim=0)
    scale = (clip / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    return [g * scale.view(-1, *[1] * (g.dim() - 1)) for g in gradients]
