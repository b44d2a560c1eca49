"""Answer: every pair of variants that differs in one level, in one sentence for each metric."""

from collections.abc import Sequence
from dataclasses import dataclass

from precisionflow.ablation.contrasts import contrasted
from precisionflow.ablation.design import unit_of
from precisionflow.report import wording
from precisionflow.report.material import Group, Material
from precisionflow.report.section import Section
from precisionflow.report.wording import Row


@dataclass(frozen=True)
class Finding:
    """One measured contrast in words, its verdict, and what would decide it."""

    text: str
    verdict: str
    kind: wording.VerdictKind
    deciding: str


@dataclass(frozen=True)
class Answer:
    """All findings about one pair of variants, or the means of a variant where nothing is contrasted."""

    title: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Answers:
    """The answers on one data set or over all, and the count of verdicts of each kind; no tally without contrasts."""

    title: str
    tally: str | None
    answers: tuple[Answer, ...]


def section(material: Material) -> Section:
    """Findings about the pairs of variants on every data set; over all sets first, unless they are too few for any."""
    groups = [_of_group(group) if group.contrasts else _measured(group) for group in material.groups]
    if material.across:
        levels = material.groups[0].levels
        over_all = _compared("all data sets", material.across, levels, unit="data set")
        too_few = all(row["verdict"].startswith("too few") for row in material.across)
        groups = [*groups, over_all] if too_few else [over_all, *groups]
    context = {"groups": groups, "several": material.several}
    return Section("Answer", "sections/answer.html.jinja", context)


def _of_group(group: Group) -> Answers:
    return _compared(group.dataset, group.contrasts, group.levels, unit=unit_of(group.experiment))


def _compared(title: str, contrasts: Sequence[Row], levels: wording.Levels, *, unit: str) -> Answers:
    pairs: dict[tuple[str, str], list[Row]] = {}
    for row in contrasts:
        pairs.setdefault((row["variant"], row["baseline_variant"]), []).append(row)
    answers = []
    for rows in pairs.values():
        findings = tuple(
            Finding(
                wording.finding(row, unit=unit),
                row["verdict"],
                wording.verdict_kind(row["verdict"]),
                wording.deciding(row),
            )
            for row in rows
        )
        answers.append(Answer(wording.comparison(rows[0], levels), findings))
    return Answers(title, wording.tally(contrasts), tuple(answers))


def _measured(group: Group) -> Answers:
    wanted = {metric.name for metric in contrasted(group.experiment)}
    means: dict[str, list[str]] = {}
    for row in group.scores:
        texts = means.setdefault(row["variant"], [])
        if row["metric"] in wanted:
            texts.append(f"{row['metric']} {wording.plus_minus(row)}")
    answers = tuple(Answer(f"{variant}: {', '.join(texts)}") for variant, texts in means.items())
    waiting = "No contrast has a unit that is complete on both sides" if group.open else None
    return Answers(group.dataset, waiting, answers)
