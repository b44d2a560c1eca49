"""Tuned alike: what the studies of the tuned axes found, each with the same number of trials."""

from precisionflow.ablation.design import places_of
from precisionflow.ablation.studies import study_name
from precisionflow.config.tuning import Searched, Tuning
from precisionflow.report import digits
from precisionflow.report.material import Material
from precisionflow.report.section import Section
from precisionflow.report.tables import Entry, Table


def section(material: Material) -> Section | None:
    """None where nothing is tuned."""
    tuning = material.experiment.ablation.tuned
    if tuning is None or not tuning.found:
        return None
    spaces = [f"{dotted} {_space(of)}" for dotted, of in tuning.parameters.items()]
    context = {
        "table": _table(material, tuning),
        "trials": tuning.trials,
        "algorithm": tuning.algorithm,
        "spaces": spaces,
    }
    return Section("Tuned alike", "sections/tuning.html.jinja", context)


def _table(material: Material, tuning: Tuning) -> Table:
    body = {}
    for dataset, levels in places_of(material.experiment):
        name = study_name(material.experiment, dataset, levels)
        found = tuning.found.get(name)
        if found is None or name in body:
            continue
        of = ", ".join(f"{axis}={levels[axis]}" for axis in tuning.axes)
        values = dict(setting.split("=", 1) for setting in found.settings)
        shown = (values.get(dotted, "—") for dotted in tuning.parameters)
        loss = digits.significant(found.value)
        body[name] = tuple(map(Entry, (f"{dataset}: {of}" if dataset else of, *shown, loss, name)))
    headings = ("levels", *tuning.parameters, "validation loss", "study")
    return Table(
        "Best settings for the levels of the tuned axes", tuple(map(Entry, headings)), tuple(body.values())
    )


def _space(of: Searched) -> str:
    if of.choices:
        return "of " + ", ".join(map(str, of.choices))
    ends = f"from {of.low:g} to {of.high:g}"
    return f"{ends}, by its logarithm" if of.log else ends
