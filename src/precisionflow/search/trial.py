"""A trial of a study: its command on this machine, and its record when it has ended."""

import sys
from collections.abc import Mapping
from pathlib import Path

from precisionflow.records.search import NAN, Report, State, Trial
from precisionflow.search.algorithms.space import typed
from precisionflow.search.study import Study
from precisionflow.search.template import Template

_OURS = "precisionflow"


def trial_command(template: Template, assignments: Mapping[str, str], *, name: str, out: Path) -> list[str]:
    """Words of the template's first command with the parameters filled in; no shell reads them.

    `name` is the trial's. A command that starts precisionflow, with or without torchrun before it, starts this
    Python's, which imports nothing from the current folder, and keeps its results in `out`. ValueError where no
    container has a command.
    """
    if not template.commands:
        raise ValueError(
            "trialTemplate.trialSpec: no container has a command; add one, such as [precisionflow, trial]"
        )
    words = [template.filled(word, assignments, name=name) for word in template.commands[0]]
    if _OURS not in words:
        return words
    ours = words[words.index(_OURS) + 1 :]
    kept = [] if "--out" in ours else ["--out", str(out)]
    return [sys.executable, "-P", "-m", _OURS, *ours, *kept]


def trial_record(
    study: Study,
    *,
    name: str,
    number: int,
    end: int,
    state: State,
    assignments: Mapping[str, str],
    metrics: Mapping[str, float],
    seconds: float,
    cause: str,
    reports: tuple[Report, ...] = (),
) -> Trial:
    """A trial with the values that its assignments stand for; the objective of a failed one does not count."""
    value = NAN if state == "failed" else metrics.get(study.spec.objective.metric, NAN)
    return Trial(
        name=name,
        number=number,
        end=end,
        state=state,
        value=value,
        seconds=seconds,
        parameters={p.name: typed(assignments[p.name], p) for p in study.spec.parameters},
        settings=study.spec.template.settings(assignments, name=name),
        metrics=metrics,
        reports=reports,
        cause=cause if state == "failed" else "",
    )
