"""States that follow their input: slowly, each channel with a time constant of its own, or not at all."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

Steps = Float[Tensor, "*rows steps channels"]
State = Float[Tensor, "*rows channels"]


class SlowState(nn.Module):
    """h_t = a h_(t-1) + (1 - a) u_t from h_0 = 0, a = exp(-1 / T), T > 0 steps learned for every channel.

    What a step tells decays by a at every later one: the persistence of attention (Feldman & Friston 2010). Each row
    has a state of its own, so that no row depends on those beside it, while training or after.
    """

    def __init__(self, channels: int, *, longest: float) -> None:
        """Time constants start evenly in their logarithm from 1 step to `longest` steps."""
        super().__init__()
        start = torch.linspace(0, torch.tensor(longest).log().item(), channels)
        self.log_time_constant = nn.Parameter(start)

    def forward(self, inputs: Steps) -> State:
        """The state after the last step."""
        decay = torch.exp(-torch.exp(-self.log_time_constant))
        state = torch.zeros_like(inputs[..., 0, :])
        for step in inputs.unbind(-2):
            state = torch.lerp(step, state, decay)
        return state


class LastStep(nn.Module):
    """h_t = u_t: no memory."""

    def forward(self, inputs: Steps) -> State:
        return inputs[..., -1, :]
