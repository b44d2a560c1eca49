"""Looking inside a trained language model: its heads and symbols in the terminal, or on a page with every edge."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from precisionflow.records.files import read_parquet
from precisionflow.records.schemas import TOKENS
from precisionflow.report.attention import distribution_table, head_table, symbol_table
from precisionflow.results.layout import PreparedSplit, Results, data_folder
from precisionflow.serving.model import load_predictor

if TYPE_CHECKING:
    import torch

    from precisionflow.evaluation.tasks.next_token import TokenPredictor
    from precisionflow.report.tables import Table

DRAWN = 48
"""Tokens whose edges are drawn."""


def inspect_cell(
    model: str, *, prompt: str | None = None, out: Path | None = None, data: Path | None = None
) -> "Sequence[Table]":
    """Tables of heads, of what they have learned of their distributions, and of symbols that state precisions.

    From a prompt, or from the beginning of the test text.
    With `out` the page is written too. ValueError for a model of another task, a prompt that is too long or has
    unknown tokens, and an `out` that is no .html.
    """
    if out is not None and (out.suffix.lower() != ".html" or out.is_dir()):
        raise ValueError(f"--out {out}: should be a file that ends in .html")
    from precisionflow.evaluation.tasks.next_token import TokenPredictor
    from precisionflow.models.attention.inspection import distributions

    predictor = load_predictor(model, data=data).predictor
    if not isinstance(predictor, TokenPredictor):
        raise ValueError(
            f"{model}: predicts {predictor.predicts}; inspect takes a model of a text, task.kind next_token"
        )
    batches = _test_windows(predictor, model, data) if prompt is None else [_window(predictor, prompt)]
    rows = predictor.attention(batches).to_pylist()
    count = sum(batch.numel() for batch in batches)
    read = f"{count:,} {predictor.task.tokens.plural} of the {'test text' if prompt is None else 'prompt'}"
    heads = head_table(rows, caption=f"Attention over {read}")
    trusted = symbol_table(rows, caption=f"Symbols by the precision that they state, {read}")
    learned = distribution_table(
        distributions(predictor.model), caption="Distributions that the heads have learned"
    )
    tables = [table for table in (heads, learned, trusted) if table is not None]
    if out is not None:
        _write(out, model, predictor, batches[0][:1, :DRAWN], tables, facts=(read,))
    return tables


def _window(predictor: "TokenPredictor", prompt: str) -> "torch.Tensor":
    """The prompt as one window."""
    import torch

    try:
        ids = predictor.tokens(prompt)
    except ValueError as error:
        raise ValueError(f"--prompt: {error}") from None
    if len(ids) > predictor.task.context:
        kind, context = predictor.task.tokens.plural, predictor.task.context
        raise ValueError(f"--prompt: has {len(ids)} {kind}, the model reads {context} at once; shorten it")
    return torch.from_numpy(ids.astype("int64"))[None]


def _test_windows(predictor: "TokenPredictor", model: str, data: Path | None) -> "list[torch.Tensor]":
    """The beginning of the test text."""
    from precisionflow.evaluation.inspection import first_windows

    card = predictor.experiment_card
    folder = data_folder(data or Results.around(Path(model)).data, card.experiment, card.split)
    file = PreparedSplit(folder).part("test")
    if not file.is_file():
        raise ValueError(f"{file}: does not exist; give --prompt, or the folder that prepare wrote as --data")
    return first_windows(read_parquet(file, TOKENS)["token"].to_numpy(), context=predictor.task.context)


def _write(
    out: Path,
    model: str,
    predictor: "TokenPredictor",
    window: "torch.Tensor",
    tables: "Sequence[Table]",
    *,
    facts: Sequence[str],
) -> None:
    from precisionflow.models.attention.inspection import edges, looks
    from precisionflow.report.inspection import write_inspection

    drawn = [edges(look)[0].cpu().numpy() for look in looks(predictor.model, window.to(predictor.device))]
    experiment = predictor.experiment_card.experiment
    write_inspection(
        out,
        name=f"{experiment.name} {experiment.variant}",
        facts=(str(model), *facts),
        tables=tables,
        edges=drawn,
        tokens=[predictor.symbols[i] for i in window[0].tolist()],
    )
