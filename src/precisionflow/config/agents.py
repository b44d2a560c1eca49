"""Agents: ways to evaluate policies by expected free energy."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from precisionflow.config.base import NUMBER, Config, NonNegative
from precisionflow.config.engine import TorchEngine
from precisionflow.config.learning import Backpropagation

MOST_POLICIES = 1_000_000


class Agent(Config):
    """Exact beliefs about the state, and actions by a posterior over policies, softmax(-precision G)."""

    engines: ClassVar = (TorchEngine,)
    leaves: ClassVar[dict[str, Config]] = {"learning": Backpropagation(), "engine": TorchEngine()}
    remedy: ClassVar[str | None] = "raise task.source.concentration"
    enumerated: ClassVar = ("flat", "joint_information", "message_passing")
    """Ways whose policies are sequences of actions, all of which are evaluated."""
    kind: Literal["agent"] = "agent"
    policies: Literal["sophisticated", "joint_information", "flat", "message_passing", "variational"] = (
        "sophisticated"
    )
    """sophisticated: a tree in which each later action is the best for what was observed before it (Friston et al.
    2021). joint_information: sequences, the information of all their observations counted once. flat: sequences, each
    step's information by itself. message_passing: sequences, variational inference with epistemic priors (2504.14898).
    variational: the same with the planning correction (2606.20658), a tree whose observations are free at a cost."""
    horizon: Annotated[int, Field(ge=1, le=200), NUMBER] = 2
    """Steps that it looks ahead, at most as many as are left."""
    discount: Annotated[float, Field(gt=0, le=1), NUMBER] = 1.0
    """Weight of a step over that of the step before."""
    precision: NonNegative = 16.0
    """gamma of the posterior over policies; an action is drawn from it."""
