"""Groups of a design's variants, the items of a pipeline's loop, and the file in which its tasks find the variants."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from precisionflow.config import Experiment, resolve
from precisionflow.config.base import without_defaults
from precisionflow.records.files import write_text


class Group(NamedTuple):
    """Variants of a design that one task takes, one after the other."""

    first: int
    stop: int
    """Index of the first variant that it leaves to the next group."""
    title: str
    """Name of its variant, or of its first and last one."""

    def __str__(self) -> str:
        """`0:1 dot`, or `8:16 dot+a to dot+h`: the group as an argument of KFP."""
        return f"{self.first}:{self.stop} {self.title}"


_GROUP = re.compile(r"(\d+):(\d+) (\S.*)")


def group_of(argument: str) -> Group:
    """The group that an argument of KFP names; ValueError where it names none."""
    found = _GROUP.fullmatch(argument)
    if not found or int(found[1]) >= int(found[2]):
        raise ValueError(f"group {argument!r}: should be FIRST:STOP TITLE, such as 0:1 dot")
    return Group(int(found[1]), int(found[2]), found[3])


def groups_of(variants: Sequence[Experiment], *, most: int) -> list[Group]:
    """Groups of equally many neighbours in the design, the last one of fewer; `most` of them, or one per variant."""
    titles, size = _titles(variants), math.ceil(len(variants) / most)
    return [
        Group(first, min(first + size, len(titles)), " to ".join(dict.fromkeys((inside[0], inside[-1]))))
        for first in range(0, len(titles), size)
        if (inside := titles[first : first + size])
    ]


def _titles(variants: Sequence[Experiment]) -> list[str]:
    """Names of variants; with the data set where there are several. No brace or dollar, on which KFP acts."""
    several = len({variant.dataset for variant in variants}) > 1
    names = (f"{variant.dataset} {variant.variant}" if several else variant.variant for variant in variants)
    return [re.sub(r"[^\w.+ -]", "?", name, flags=re.ASCII) for name in names]


class Design(NamedTuple):
    """Experiments, and variants of theirs."""

    experiments: list[Experiment]
    variants: list[Experiment]


def write_design(experiments: Iterable[Experiment], variants: Iterable[Experiment], path: Path) -> None:
    """Write experiments, and all their variants in the order of the design, a line each."""
    lines = [
        [without_defaults(experiment) for experiment in experiments],
        *(without_defaults(variant) for variant in variants),
    ]
    write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines), path)


def read_design(path: Path, *, group: Group | None = None) -> Design:
    """Experiments and the variants of a group, or all of them; ValueError for a group that the design does not have."""
    whole, *lines = path.read_text(encoding="utf-8").splitlines()
    if group and group.stop > len(lines):
        raise ValueError(f"group {str(group)!r}: the design has {len(lines)} variants; submit again")
    chosen = lines[group.first : group.stop] if group else lines
    return Design([resolve(content) for content in json.loads(whole)], [_resolved(line) for line in chosen])


def _resolved(line: str) -> Experiment:
    content: dict[str, Any] = json.loads(line)
    return resolve(content)
