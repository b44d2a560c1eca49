"""Text of KFP's arguments: experiments and studies, written so that a task receives what was written."""

import json
from collections.abc import Collection
from typing import Any

from precisionflow.config import Experiment
from precisionflow.config.base import without_defaults


def as_argument(content: Any) -> str:
    """JSON that reaches a pod as it is written: no two braces open at once, no dollar, ASCII.

    KFP and Argo replace what stands in two braces; the kubelet replaces $(NAME) in a container's arguments by the
    variable of that name, a password for instance, and $$ by $; KFP's database refuses characters of four bytes.
    """
    return json.dumps(content, separators=(",", ":")).replace("{{", r"{\u007b").replace("$", r"\u0024")


def experiment_argument(experiment: Experiment, *, without: Collection[str] = ()) -> str:
    """An experiment as an argument, without what is at its default: a process takes no argument above 128 KiB, and a
    list of variants is one.

    `without` the parts that no task reads, equal work has equal arguments and is found in KFP's cache.
    """
    content = {name: value for name, value in without_defaults(experiment).items() if name not in without}
    return as_argument(content)
