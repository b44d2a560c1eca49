"""The article: its sections, each a file with its template, in the order of the page."""

from pathlib import Path

import pytest

from precisionflow.ablation.aggregate import read_aggregate
from precisionflow.report import article, cells, sections
from precisionflow.report.material import Material, gather
from precisionflow.report.page import templates
from precisionflow.report.sections import answer, fit, gate, training_cost
from tests.report.conftest import Results


def material(results: Results, position: int) -> Material:
    return gather(
        results.experiments[position],
        trained=cells.trained_cells(results.models),
        evaluated=cells.evaluated_cells(results.evaluations),
        results=read_aggregate(results.aggregate),
        gate=(),
        anchor=f"x{position}",
    )


def test_every_section_is_one_file_with_its_template() -> None:
    folder = Path(sections.__file__).parent
    built = {build.__module__.rsplit(".", 1)[1] for build in article.SECTIONS}
    assert built == {file.stem for file in folder.glob("*.py")} - {"__init__"}
    assert built == {file.name.removesuffix(".html.jinja") for file in folder.glob("*.jinja")}
    assert len(article.SECTIONS) == len(built)


@pytest.mark.parametrize("position", [0, 1])
def test_a_section_names_a_template_that_shows_all_it_reads(results: Results, position: int) -> None:
    shown = article.article(material(results, position)).sections
    assert len(shown) == len(article.SECTIONS)
    for build, section in zip(article.SECTIONS, shown, strict=True):
        if section is not None:
            assert section.template == f"sections/{build.__module__.rsplit('.', 1)[1]}.html.jinja"
            text = templates().get_template(section.template).render(section.context, title=section.title)
            assert text.startswith(f"<section>\n<h3>{section.title}</h3>\n")
            assert text.endswith("</section>")


def test_a_section_with_nothing_to_show_is_none(results: Results) -> None:
    shown = material(results, 1)
    assert gate.section(shown) is None
    assert fit.section(shown) is None


def test_files_that_a_section_does_not_need_are_not_read(results: Results) -> None:
    """The answer needs no cell; training cost needs none of evaluation."""
    known = results.experiments[1]
    bare = gather(
        known,
        trained=cells.trained_cells(results.models),
        evaluated=cells.Finished(),
        results=read_aggregate(results.aggregate),
        gate=(),
        anchor="x0",
    )
    assert answer.section(bare).context["groups"][0].tally == "3 contrasts: 3 better"
    assert len(training_cost.section(bare).context["tables"]) == 1
    with pytest.raises(ValueError, match="no folder of experiment 'noise'"):
        article.article(bare)
