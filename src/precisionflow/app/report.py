"""The page of a results folder, of a finished study or of what stands of one that is not, and its figures as files."""

from pathlib import Path

from precisionflow import stages
from precisionflow.ablation.aggregate import by_name, read_aggregate
from precisionflow.app.standing import Standing, something_standing
from precisionflow.console import command, say
from precisionflow.results.layout import Reported, Results


def report_folder(folder: Path, *, out: Path | None, export: Path | None) -> None:
    """Write the page of a results folder into `out`: by default its own report, or `partial` where that would not be
    the page of the present configuration's finished study.

    With `export`, its figures and tables go into that folder. ValueError where no cell is done, or all have failed.
    """
    results = Results(folder)
    with something_standing(folder) as there:
        if not read_aggregate(there.aggregate).table.num_rows:
            why = command("status", folder)
            raise ValueError(
                f"{folder}: every cell that is done has failed, so there is no page; `{why}` says why"
            )
        place = out or (results.partial if there.told else results.report)
        stages.report(
            there.experiments,
            models=there.models,
            evaluations=there.evaluations,
            aggregate=there.aggregate,
            out=place,
            unfinished=there.told,
        )
        if there.told:
            say(there.told)
        if export is not None:
            _export(there, page=Reported(place).page, out=export)


def _export(there: Standing, *, page: Path, out: Path) -> None:
    from precisionflow.report.export import export
    from precisionflow.report.page import Inputs, articles

    inputs = Inputs(
        by_name(there.experiments),
        models=there.models,
        evaluations=there.evaluations,
        aggregate=there.aggregate,
    )
    shown = articles(inputs, unfinished=there.told)
    files = export(page.read_text(encoding="utf-8"), shown, read_aggregate(there.aggregate), out=out)
    say(f"export {out}: {files} files")
