"""Exact beliefs about the state: p(s_t | o_1..t, u_1..t) of any number of episodes at once."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from precisionflow.inference.planning.categorical import Array
from precisionflow.inference.planning.model import DiscreteModel, Joint

Beliefs = Float[Array, "episodes states"]


def predicted(joint: Joint, beliefs: Beliefs, action: Int[Array, "episodes"]) -> Beliefs:
    """p(s' | u) = sum_s p(s' | s, u) b(s); ValueError for an action that there is not."""
    require_choices("action", action, len(joint.transition))
    after = np.empty_like(beliefs)
    for one in np.unique(action):
        which = action == one
        after[which] = beliefs[which] @ joint.transition[one].T
    return after


def updated(beliefs: Beliefs, message: Beliefs) -> tuple[Beliefs, Float[Array, "episodes"]]:
    """Bayes' rule b(s) p(o | s) / p(o), and ln p(o); ValueError names an episode with an impossible observation."""
    product = beliefs * message
    evidence = product.sum(axis=1)
    if not (evidence > 0).all():
        raise ValueError(
            f"observation of episode {int(np.argmin(evidence))}: has probability 0 under the belief; "
            "the model rules out what was seen"
        )
    return product / evidence[:, None], np.log(evidence)


def observed(model: DiscreteModel, outcomes: Int[Array, "episodes modalities"]) -> Beliefs:
    """p(o | s) of observed outcomes, one of each modality; ValueError for an outcome that no modality has."""
    message = np.ones((len(outcomes), int(np.prod(model.states))))
    for index, table in enumerate(model.likelihood):
        seen = outcomes[:, index]
        require_choices(f"observation of modality {index}", seen, len(table))
        message *= table.reshape(len(table), -1)[seen]
    return message


def require_choices(name: str, given: Int[Array, "episodes"], count: int) -> None:
    """ValueError for what is no whole number from 0 to count - 1."""
    whole = np.issubdtype(given.dtype, np.integer)
    if whole and ((given >= 0) & (given < count)).all():
        return
    wrong = given[(given < 0) | (given >= count)] if whole else given
    raise ValueError(f"{name}: given {wrong[0]}; give whole numbers from 0 to {count - 1}")


def softly_observed(model: DiscreteModel, outcomes: Sequence[Float[Array, "episodes outcomes"]]) -> Beliefs:
    """sum_o p(o) p(o | s) of observations that are distributions over outcomes, one of each modality.

    Its logarithm is that of the expectation; the expectation of the logarithm would rule out every state that some
    doubted outcome rules out. ValueError for what is no distribution over the outcomes.
    """
    message: Beliefs = np.ones((1, int(np.prod(model.states))))
    for index, (table, soft) in enumerate(zip(model.likelihood, outcomes, strict=True)):
        likely = soft.shape[1] == len(table) and (soft >= 0).all()
        if not likely or not np.abs(soft.sum(axis=1) - 1).max() <= 1e-8:
            raise ValueError(
                f"observation of modality {index}: is no distribution over its {len(table)} outcomes; "
                "give non-negative numbers that sum to 1"
            )
        message = message * (soft @ table.reshape(len(table), -1))
    return message
