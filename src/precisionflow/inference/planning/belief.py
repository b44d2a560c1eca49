"""Exact beliefs about the state: p(s_t | o_1..t, u_1..t) of any number of episodes at once."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from precisionflow.inference.planning.categorical import Array
from precisionflow.inference.planning.given import (
    array,
    choices,
    distributions,
    each,
    numbers,
    require_rows,
    require_shape,
)
from precisionflow.inference.planning.model import DiscreteModel, Joint

Beliefs = Float[Array, "episodes states"]


def predicted(joint: Joint, beliefs: Beliefs, action: Int[Array, "episodes"]) -> Beliefs:
    """p(s' | u) = sum_s p(s' | s, u) b(s); ValueError for an action that there is not, and for what is no belief."""
    beliefs = distributions("beliefs", beliefs, len(joint.prior), "states")
    action = choices("action", action, len(joint.transition))
    require_shape("action", action, (len(beliefs),))
    after = np.empty_like(beliefs)
    for one in np.unique(action):
        which = action == one
        after[which] = beliefs[which] @ joint.transition[one].T
    return after


def updated(beliefs: Beliefs, message: Beliefs) -> tuple[Beliefs, Float[Array, "episodes"]]:
    """Bayes' rule b(s) p(o | s) / p(o), and ln p(o).

    ValueError names an episode with an impossible observation, or with a belief that is none.
    """
    message = numbers("message", message)
    if not ((message >= 0) & (message < np.inf)).all():
        raise ValueError("message: holds negative or not finite numbers; give p(o | s)")
    beliefs = distributions("beliefs", beliefs, message.shape[-1], "states")
    require_shape("message", message, beliefs.shape)
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
    outcomes = array("observations", outcomes)
    require_rows("observations", outcomes, len(model.likelihood), "outcomes, one of each modality")
    message = np.ones((len(outcomes), int(np.prod(model.states))))
    for index, table in enumerate(model.likelihood):
        seen = choices(f"observation of modality {index}", outcomes[:, index], len(table))
        message *= table.reshape(len(table), -1)[seen]
    return message


def softly_observed(model: DiscreteModel, outcomes: Sequence[Float[Array, "episodes outcomes"]]) -> Beliefs:
    """sum_o p(o) p(o | s) of observations that are distributions over outcomes, one of each modality.

    Its logarithm is that of the expectation; the expectation of the logarithm would rule out every state that some
    doubted outcome rules out. ValueError for what is no distribution over the outcomes, for modalities that are missing
    or have unequal numbers of episodes.
    """
    given = each("observations", outcomes, "distributions over the outcomes of each modality")
    if len(given) != len(model.likelihood):
        raise ValueError(
            f"observations: are of {len(given)} modalities; give distributions for each of {len(model.likelihood)}"
        )
    message: Beliefs = np.ones((1, int(np.prod(model.states))))
    for index, (table, one) in enumerate(zip(model.likelihood, given, strict=True)):
        name = f"observation of modality {index}"
        soft = distributions(name, one, len(table), "outcomes")
        require_shape(name, soft, (len(message) if index else len(soft), len(table)))
        message = message * (soft @ table.reshape(len(table), -1))
    return message
