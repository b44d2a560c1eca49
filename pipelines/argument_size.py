"""What KFP hands to a task is one argument of its process, of which Linux takes 128 KiB: experiments that fit."""

import json
from collections.abc import Sequence

from precisionflow.config import ConfigError

MOST = 128 * 1024
"""Bytes of one argument."""
BESIDE = 24 * 1024
"""Bytes that stand in it beside the experiments: tasks of the pipeline, groups, cluster settings."""


def refuse_too_long(experiments: Sequence[str]) -> None:
    """ConfigError for experiments whose text could not be handed to a task: the axes as they are written.

    The text is measured as KFP quotes it, twice. Variants are no part of it: tasks read them from a file.
    """
    size = len(json.dumps(json.dumps(experiments)))
    if size > MOST - BESIDE:
        raise ConfigError(
            f"ablation: the experiment has {size // 1024} KiB as KFP quotes it; a task gets it as one argument, which "
            f"takes {(MOST - BESIDE) // 1024}: have several axes combine to the design rather than write each variant "
            "as a level, or run parts of the design"
        )
