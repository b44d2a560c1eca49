"""What KFP hands to a task is one argument of its process, of which Linux takes 128 KiB: designs that fit."""

import json
from collections.abc import Sequence

from precisionflow.arguments import experiment_argument
from precisionflow.config import ConfigError, Experiment

MOST = 128 * 1024
"""Bytes of one argument."""
ARTIFACT = 300
"""Bytes that an artifact has at least in a task's inputs: name, type, metadata, and an address with two ids of 36."""


def refuse_too_many(variants: Sequence[Experiment]) -> None:
    """ConfigError for a design whose tasks could not be started: prepare gets all variants, report all artifacts.

    The list of variants is measured as KFP quotes it, twice.
    """
    texts = [experiment_argument(variant, without=("cluster",)) for variant in variants]
    size = max(len(json.dumps(json.dumps(texts))), 2 * ARTIFACT * len(texts))
    if size > MOST:
        raise ConfigError(
            f"ablation: {len(texts)} variants are too many for one run on a cluster: KFP hands a task its inputs as "
            f"one argument, of which Linux takes {MOST // 1024} KiB, and these have {size // 1024} KiB or more; "
            f"submit parts of the design, {int(len(texts) * MOST / size)} variants or fewer each, or say "
            "`precisionflow run`"
        )
