"""The page of one network that was looked into: self-contained HTML, tables of heads and symbols, all edges."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from precisionflow import __version__
from precisionflow.records.files import write_text
from precisionflow.report.figures.attention import heatmap
from precisionflow.report.page import templates
from precisionflow.report.pictures import Picture
from precisionflow.report.tables import Table


def write_inspection(
    file: Path,
    *,
    name: str,
    facts: Sequence[str],
    tables: Sequence[Table],
    edges: Sequence[Float[np.ndarray, "heads queries keys"]],
    tokens: Sequence[str],
) -> None:
    """Write the page; `edges` are the posteriors of the layers over the `tokens`."""
    pictures = [
        Picture(
            heatmap(of_head, tokens, alt=f"Posterior over edges of layer {layer} head {head}"),
            f"layer {layer} head {head}",
        )
        for layer, of_layer in enumerate(edges)
        for head, of_head in enumerate(of_layer)
    ]
    text = (
        templates()
        .get_template("inspection.html.jinja")
        .render(
            name=name,
            facts=facts,
            tables=tables,
            pictures=pictures,
            version=__version__,
        )
    )
    write_text(text, file)
