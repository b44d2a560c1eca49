"""The report stage: one HTML page that opens anywhere, from what the earlier stages left in files."""

import base64
import hashlib
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

_HERE = Path(__file__).parent
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
    unfinished: str = "",
) -> None:
    """Write `out/report.html`: self-contained, readable without its script, the same bytes for the same inputs.

    `models` and `evaluations` are the folders of variants, in any order; `aggregate` is the folder of that stage.
    `unfinished` says how far a study is whose cells are not all there; it becomes the first line of the articles.
    ValueError when a cell is missing otherwise, is unfinished or there twice with different results.
    """
    inputs = Inputs(by_name(experiments), models=models, evaluations=evaluations, aggregate=aggregate)
    keys = {
        "aggregate": input_key(aggregate),
        "models": sorted(inputs.trained.keys.values()),
        "evaluations": sorted(inputs.evaluated.keys.values()),
    }

    def work(folder: Path) -> None:
        shown = articles(inputs, unfinished=unfinished)
        text = render(shown, keys={name: digest(key) for name, key in keys.items()})
        write_text(text, Reported(folder).page)

    marks = [*inputs.trained.marks.values(), *inputs.evaluated.marks.values(), cells.mark(aggregate)]
    given = {
        "experiments": [e.model_dump_json() for e in inputs.experiments],
        "kept": cells.kept(marks),
        **keys,
    }
    once(out, verb="report", inputs=given | ({"unfinished": unfinished} if unfinished else {}), work=work)


class Inputs:
    """What an article is made of: results of the experiments, found by cell."""

    def __init__(
        self,
        experiments: Sequence[Experiment],
        *,
        models: Sequence[Path],
        evaluations: Sequence[Path],
        aggregate: Path,
    ) -> None:
        self.experiments = experiments
        self.trained, self.evaluated = cells.trained_cells(models), cells.evaluated_cells(evaluations)
        self.evaluations = evaluations
        self.aggregate = aggregate


def articles(inputs: Inputs, *, unfinished: str = "") -> list[Article]:
    """An article on each experiment; of an `unfinished` study without a gate, on what is there."""
    results = read_aggregate(inputs.aggregate)
    materials = [
        gather(
            experiment,
            trained=inputs.trained,
            evaluated=inputs.evaluated,
            results=results,
            gate=() if unfinished else judge(experiment, evaluations=inputs.evaluations),
            anchor=f"x{position}",
            open_cells=cells.absent(experiment, inputs.evaluated.folders, results.failures)
            if unfinished
            else frozenset(),
        )
        for position, experiment in enumerate(inputs.experiments)
    ]
    return [article(material, unfinished=unfinished) for material in materials if material.groups]


def templates() -> Environment:
    """The pages' templates: everything is escaped, a name that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"breakable": breakable, "phrases": phrases, "unbroken": unbroken}
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals |= {"style": style, "script": script, "script_hash": f"sha256-{allowed}"}
    return environment


def render(articles: Sequence[Article], *, keys: dict[str, str]) -> str:
    """The page's text; `keys` name the inputs of the stage."""
    environment = templates()
    return environment.get_template("page.html.jinja").render(
        articles=[(shown, [_rendered(s, environment) for s in shown.sections]) for shown in articles],
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
