"""Expected free energy of one step, to be minimised, in nats: its terms and its two decompositions.

G = KL[q(o) || p~(o)] + E_q(s) H[p(o | s)]                 risk + ambiguity
  = -E_q(o) ln p~(o) - I_q(s; o)                           - pragmatic - information
less the expected information about parameters, E_q(o, s) KL[q(theta | o, s) || q(theta)], where some are learned.
I(s; o) is that of the joint observation: what two modalities both say is counted once.
Preferences over states replace the risk by KL[q(s) || p~(s)], which is never smaller where p~(o) is what p~(s) implies:
risk_s - risk_o = E_q(o) KL[q(s | o) || p~(s | o)].
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from precisionflow.inference.planning.categorical import Array, divergence, entropy
from precisionflow.inference.planning.model import Joint

Preferred = Literal["observations", "states"]
States = Float[Array, "*steps states"]
Values = Float[Array, "*steps"]


class Terms(NamedTuple):
    """What a step is worth: G = -(pragmatic + information + novelty)."""

    pragmatic: Values
    """E_q(o) ln p~(o), or E_q(s) ln p~(s)."""
    information: Values
    """I_q(s; o) >= 0; of preferences over states H[q(s)] - E_q(s) H[p(o | s)], which is larger by H[q(s)] - H[q(o)]."""
    novelty: Values
    """E_q(o, s) KL[q(theta | o, s) || q(theta)] >= 0."""


class Decomposition(NamedTuple):
    """G without novelty = risk + ambiguity."""

    risk: Values
    ambiguity: Values


@dataclass(frozen=True)
class Objective:
    """Which terms count: G = -(pragmatic + information + novelty) of those that are on.

    ValueError for preferences over neither observations nor states.
    """

    preferences: Preferred = "observations"
    pragmatic: bool = True
    information: bool = True
    novelty: bool = True

    def __post_init__(self) -> None:
        if self.preferences not in get_args(Preferred):
            raise ValueError(
                f"preferences: given {self.preferences!r}; give one of {', '.join(get_args(Preferred))}"
            )

    def worth(self, joint: Joint, states: States) -> Values:
        """-G of predicted states."""
        found = terms(joint, states, preferences=self.preferences)
        return sum(
            (getattr(found, name) for name in Terms._fields if getattr(self, name)),
            np.zeros(states.shape[:-1]),
        )


def terms(joint: Joint, states: States, *, preferences: Preferred = "observations") -> Terms:
    """The terms for predicted states q(s), of any number of steps at once."""
    seen = states @ joint.likelihood.T
    told = _ambiguity(joint)
    spread = seen if preferences == "observations" else states
    return Terms(
        spread @ preferred(joint, preferences),
        entropy(spread) - states @ told,
        states @ (joint.likelihood * joint.novelty).sum(axis=0),
    )


def decomposition(joint: Joint, states: States, *, preferences: Preferred = "observations") -> Decomposition:
    """Risk and ambiguity of predicted states q(s)."""
    spread = states @ joint.likelihood.T if preferences == "observations" else states
    wanted = np.exp(preferred(joint, preferences))
    return Decomposition(divergence(spread, wanted), states @ _ambiguity(joint))


def _ambiguity(joint: Joint) -> Float[Array, "states"]:
    """H[p(o | s)] of every state."""
    return entropy(joint.likelihood, axis=0)


def preferred(joint: Joint, preferences: Preferred) -> Float[Array, "..."]:
    """ln p~ of observations or of states; ValueError where nothing is preferred about states."""
    if preferences == "observations":
        return joint.log_preference
    if joint.log_state_preference is None:
        raise ValueError(
            "preferences over states: the model has no log_state_preference; give it, or prefer observations"
        )
    return joint.log_state_preference
