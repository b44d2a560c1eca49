"""The report stage: one HTML page that opens anywhere, from what the earlier stages left in files."""

import platform
import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from precisionflow import __version__
from precisionflow.ablation.aggregate import by_name, read_aggregate
from precisionflow.ablation.gate import judge
from precisionflow.config import Experiment, digest
from precisionflow.records.files import write_text
from precisionflow.report import cells
from precisionflow.report.article import Article, article
from precisionflow.report.material import gather
from precisionflow.report.section import Section
from precisionflow.results.layout import Reported
from precisionflow.results.stage import input_key, library_versions, once

LIBRARIES = (
    "torch",
    "deepspeed",
    "kfp",
    "mlflow",
    "numpy",
    "scipy",
    "scikit-learn",
    "pyarrow",
    "pydantic",
    "matplotlib",
)


def report(
    experiments: Sequence[Experiment],
    *,
    models: Sequence[Path],
    evaluations: Sequence[Path],
    aggregate: Path,
    out: Path,
) -> None:
    """Write `out/report.html`: self-contained, without scripts, the same bytes for the same inputs and libraries.

    `models` and `evaluations` are the folders of variants, in any order; `aggregate` is the folder of that stage.
    ValueError when a cell is missing, unfinished or there twice with different results.
    """
    ordered = by_name(experiments)
    trained, evaluated = cells.trained_cells(models), cells.evaluated_cells(evaluations)
    keys = {
        "aggregate": input_key(aggregate),
        "models": cells.keys(trained),
        "evaluations": cells.keys(evaluated),
    }

    def work(folder: Path) -> None:
        results = read_aggregate(aggregate)
        articles = [
            article(
                gather(
                    experiment,
                    trained=trained,
                    evaluated=evaluated,
                    results=results,
                    gate=judge(experiment, evaluations=evaluations),
                    anchor=f"x{position}",
                )
            )
            for position, experiment in enumerate(ordered)
        ]
        text = render(articles, keys={name: digest(key) for name, key in keys.items()})
        write_text(text, Reported(folder).page)

    kept = cells.kept([*trained.values(), *evaluated.values(), aggregate])
    inputs = {"experiments": [e.model_dump_json() for e in ordered], "kept": kept, **keys}
    once(out, verb="report", inputs=inputs, work=work)


def templates() -> Environment:
    """The pages' templates: everything is escaped, a name that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"breakable": breakable, "phrases": phrases, "unbroken": unbroken}
    return environment


def render(articles: Sequence[Article], *, keys: dict[str, str]) -> str:
    """The page's text; `keys` name the inputs of the stage."""
    environment = templates()
    return environment.get_template("page.html.jinja").render(
        articles=[(shown, [_rendered(s, environment) for s in shown.sections]) for shown in articles],
        style=(Path(__file__).parent / "page.css").read_text(encoding="utf-8"),
        version=__version__,
        machine={
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            "libraries": ", ".join(
                f"{name} {version}" for name, version in library_versions(LIBRARIES).items()
            ),
        },
        keys=keys,
    )


def _rendered(section: Section | None, environment: Environment) -> Markup | None:
    if section is None:
        return None
    template = environment.get_template(section.template)
    return Markup(template.render(section.context, title=section.title))


def breakable(text: str) -> Markup:
    """Escaped text that may break after the joints of a variant's name."""
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=[_+=])(?=.)", text))


def unbroken(text: str) -> str:
    """The text on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def phrases(text: str) -> str:
    """The text with blanks that no line may break at: after ± and inside an interval."""
    return re.sub(r"(?<=[±,]) ", "\N{NO-BREAK SPACE}", text)
