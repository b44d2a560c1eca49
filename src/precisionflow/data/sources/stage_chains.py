"""States of an encoder's and a decoder's stages, each read with noise."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from precisionflow.config.drawn_tables import StageChains


class DrawnStages(NamedTuple):
    """Rows of stages."""

    given: Float[np.ndarray, "rows channels"]
    """What the first stage is given."""
    readings: Float[np.ndarray, "rows stages channels"]
    """Of every stage's state."""
    precisions: Float[np.ndarray, "rows stages"]
    """tau_i."""


def draw_stages(source: StageChains, count: int, random: np.random.Generator) -> DrawnStages:
    """So many rows."""
    medians = [source.encoder_precision] * source.encoder + [source.decoder_precision] * source.decoder
    precisions = np.array(medians) * np.exp(source.spread * random.standard_normal((count, source.stages)))
    state = given = random.standard_normal((count, source.channels))
    states = []
    for precision in precisions.T:
        state = source.gain * state + random.standard_normal(state.shape) / np.sqrt(precision)[:, None]
        states.append(state)
    true = np.stack(states, axis=1)
    return DrawnStages(given, true + random.standard_normal(true.shape) / np.sqrt(source.reading), precisions)
