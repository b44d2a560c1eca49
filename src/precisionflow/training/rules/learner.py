"""A network, its objective and its way of learning as one module, which an engine calls with a batch."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from precisionflow.config import learning as kinds
from precisionflow.inference.predictive_coding.stretches import heads_of_layers
from precisionflow.models.attention.inspection import of_symbols
from precisionflow.models.likelihoods.objective import Losses, Objective
from precisionflow.models.networks.dropout import dropping
from precisionflow.models.networks.layered import Layered, TokenNetwork
from precisionflow.models.numerics import AS_IT_IS
from precisionflow.training.batches import Batch
from precisionflow.training.ranks import Ranks
from precisionflow.training.rules import Lesson
from precisionflow.training.rules.gradient import Backpropagation
from precisionflow.training.rules.monitored import AttentionRow, Monitored
from precisionflow.training.rules.predictive_coding import PredictiveCoding, predictive_coding


class Learner(nn.Module):
    """Called with a batch it gives the lesson that the engine differentiates.

    In evaluation mode the call gives the negative log-likelihoods of the samples by one forward pass: no error, no
    settling. bfloat16 is by autocast: weights stay float32, losses and precisions are computed in float32.
    """

    def __init__(self, model: Layered, objective: Objective, rule: nn.Module, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.rule = rule
        self.dtype = dtype

    def forward(self, batch: Batch, carried: Any = None) -> Lesson | Tensor:
        """`carried` is that of the lesson before, on the same batch."""
        if self.training:
            with self.learning(batch) as losses:
                return self.rule(self.model, losses, batch, carried)  # type: ignore[no-any-return]
        with self._cast(batch):
            return self.objective.negative_log_likelihood(self.model(batch.inputs, batch.mask), batch.target)

    def monitored(self, batch: Batch, *, step: int) -> Monitored | None:
        """What is seen of the lesson on a batch after so many steps; none where nothing settles."""
        if not isinstance(self.rule, PredictiveCoding):
            return None
        self.train()
        with self.learning(batch) as losses:
            return self.rule.monitored(self.model, losses, batch, step=step)

    def attended(self, batch: Batch, *, step: int, ranks: Ranks) -> list[AttentionRow]:
        """What attention does with the symbols of a batch, of which `ranks` have a share each.

        Nothing of rows, nor where a token is several ids.
        """
        tokens = batch.inputs
        if not isinstance(self.model, TokenNetwork) or (tokens.ndim == 3 and tokens.shape[2] > 1):
            return []
        self.eval()
        symbols = ranks.greatest(int(tokens.max())) + 1
        with self._cast(batch), self._eager():
            found = of_symbols(self.model, [(tokens, batch.mask)], symbols=symbols, total=ranks.sum)
        return [AttentionRow(step, *of) for of in found]

    @contextlib.contextmanager
    def learning(self, batch: Batch) -> Iterator[Losses]:
        """The losses of a batch, with the units dropped that it drops."""
        with self._cast(batch), dropping(self.model, batch.draw):
            yield self.objective.losses(progress=batch.progress)

    def _eager(self) -> contextlib.AbstractContextManager[object]:
        """Hooks do not run inside compiled layers."""
        compiled = any(layer._compiled_call_impl is not None for layer in self.model.layers)
        return torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext()

    def _cast(self, batch: Batch) -> contextlib.AbstractContextManager[object]:
        if self.dtype is torch.float32:
            return AS_IT_IS
        return torch.autocast(batch.inputs.device.type, self.dtype)


def learner(
    model: Layered,
    objective: Objective,
    learning: kinds.Learning,
    *,
    dtype: str = "float32",
    total: Callable[[Tensor], Tensor] = torch.clone,
) -> Learner:
    """A learner as the configuration describes it; `total` sums a copy over ranks."""
    match learning:
        case kinds.Backpropagation() | kinds.PredictiveCoding(layers=()):
            rule: nn.Module = Backpropagation()
        case kinds.PredictiveCoding():
            rule = predictive_coding(
                learning,
                states=model.states,
                heads=heads_of_layers(model),
                layer_kinds=model.layer_kinds,
                total=total,
            )
        case _:
            assert_never(learning)
    return Learner(model, objective, rule, dtype=getattr(torch, dtype))
