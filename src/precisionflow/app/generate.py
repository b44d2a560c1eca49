"""Texts after prompts: a trained language model and prompts in, their continuations out."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from precisionflow.config.attention import Attention, first_without_a_key
from precisionflow.config.networks import Transformer
from precisionflow.console import note
from precisionflow.records.files import write_parquet, write_text
from precisionflow.records.recalibration import TemperatureFit
from precisionflow.records.schemas import GENERATED
from precisionflow.serving.model import load_predictor

if TYPE_CHECKING:
    import numpy as np

    from precisionflow.evaluation.tasks.next_token import TokenPredictor
    from precisionflow.generation.generate import Token
    from precisionflow.generation.sample import Choice
    from precisionflow.serving.model import ServedModel

SHOWN = 40
"""Characters of a prompt that a message shows."""


@dataclass
class Continuation:
    """A prompt and what followed it."""

    prompt: str
    tokens: "list[Token]" = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    """What each token added to the text."""

    @property
    def text(self) -> str:
        """The prompt with all that follows it."""
        return self.prompt + "".join(self.pieces)


def generate_texts(
    model: str,
    *,
    prompts: Sequence[str],
    tokens: int,
    choice: "Choice",
    seed: int = 0,
    out: Path | None = None,
    recalibrated: str | None = None,
    data: Path | None = None,
    evaluation: Path | None = None,
    store: Path | None = None,
) -> Iterator[str]:
    """Pieces of text for a screen: of one prompt as its tokens come, of several one text after the other.

    With `out` there are none: a file .txt, .jsonl or .parquet is written. `model`, `data`, `evaluation` and `store` are
    those of `load_predictor`. ValueError for every mistake, before anything is written.
    """
    written = None if out is None else _form_of(out)
    if tokens < 1:
        raise ValueError(f"--tokens {tokens}: should be 1 or more")
    if seed < 0:
        raise ValueError(f"--seed {seed}: should be 0 or more")
    if not prompts:
        raise ValueError("there is no prompt; give --prompt TEXT, or --prompts FILE with one in each line")
    served = load_predictor(model, data=data, evaluation=evaluation, store=store)
    predictor = _language_model(served, model)
    fit = served.fit(recalibrated)
    given = [_ids(predictor, prompt) for prompt in prompts]
    _check_length(predictor, longest=max(map(len, given)), tokens=tokens)
    factor = fit.factor if isinstance(fit, TemperatureFit) else 1.0
    pieces = _continued(predictor, prompts, given, tokens=tokens, choice=choice, seed=seed, factor=factor)
    if out is None or written is None:
        return _shown(prompts, pieces)
    written(_gathered(prompts, pieces), out)
    return iter(())


def prompts_in(file: Path) -> list[str]:
    """The prompts of a file of text, one in each line; ValueError for none, an empty line, no file and no text."""
    if not file.is_file():
        raise ValueError(f"--prompts {file}: is no file; give a text with one prompt in each line")
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"--prompts {file}: is no UTF-8 at byte {error.start}; save it as UTF-8") from None
    lines = lines[:-1] if lines[-1] == "" else lines
    for number, line in enumerate(lines, 1):
        if not line:
            raise ValueError(f"--prompts {file}: line {number} is empty; every line is a prompt")
    if not lines:
        raise ValueError(f"--prompts {file}: is empty; give one prompt in each line")
    return lines


def _language_model(served: "ServedModel", name: str) -> "TokenPredictor":
    from precisionflow.evaluation.tasks.next_token import TokenPredictor

    if not isinstance(served.predictor, TokenPredictor):
        raise ValueError(
            f"{name}: predicts {served.predictor.predicts}; generate takes a model of a text, task.kind next_token"
        )
    return served.predictor


def _ids(predictor: "TokenPredictor", prompt: str) -> "np.ndarray":
    """The tokens of a prompt; what is read otherwise than it is written is told."""
    from precisionflow.data.tokens.running.utf8 import encode
    from precisionflow.generation.text import prompt_ids

    shown = repr(prompt if len(prompt) <= SHOWN else f"{prompt[:SHOWN]}...")
    try:
        ids = prompt_ids(predictor.tokeniser, prompt)
    except ValueError as error:
        raise ValueError(f"prompt {shown}: {error}") from None
    if not prompt:
        note("the prompt is empty: a text begins as after a line break")
    unknown = sum(piece.unknown for piece in predictor.tokeniser.encoded([encode(prompt)]))
    if unknown:
        note(f"{unknown} of the {predictor.task.tokens.plural} of prompt {shown} are unknown to the model")
    return ids


def _check_length(predictor: "TokenPredictor", *, longest: int, tokens: int) -> None:
    """ValueError for a position without an embedding or a key; a line for more than the network was trained on."""
    experiment, context = predictor.experiment_card.experiment, predictor.task.context
    needed, kind = longest + tokens - 1, predictor.task.tokens.plural
    if needed <= context:
        return
    model = experiment.model
    assert isinstance(model, Transformer)
    told = f"--tokens {tokens}: with a prompt of {longest} {kind} the network reads {needed} positions and"
    if model.positions == "learned":
        of = "task.context, model.positions learned"
        raise ValueError(f"{told} has learned {context} ({of}); {_remedy(longest, positions=context)}")
    assert isinstance(model.attention, Attention), "it sees no later token"
    keyless = first_without_a_key(model.attention.prior, positions=needed)
    if keyless is not None:
        remedy = _remedy(longest, positions=keyless)
        raise ValueError(
            f"{told} position {keyless} has no key (from 0; model.attention.prior graph); {remedy}"
        )
    note(f"the network reads {needed} {kind} and was trained on {context}: beyond them it was never tested")


def _remedy(longest: int, *, positions: int) -> str:
    """What to do where a network reads so many positions and no more."""
    room = positions + 1 - longest
    return f"give --tokens {room} or less" if room > 0 else f"give a prompt of at most {positions}"


def _continued(
    predictor: "TokenPredictor",
    prompts: Sequence[str],
    given: "Sequence[np.ndarray]",
    *,
    tokens: int,
    choice: "Choice",
    seed: int,
    factor: float,
) -> "Iterator[tuple[Token, str]]":
    """Every token with what it adds to its text."""
    from precisionflow.generation.generate import generate
    from precisionflow.generation.text import GrowingText

    texts = [GrowingText(predictor.tokeniser, ids.tolist()) for ids in given]
    left = [tokens] * len(prompts)
    for token in generate(
        predictor.model,
        given,
        tokens=tokens,
        choice=choice,
        seed=seed,
        factor=factor,
        device=predictor.device,
    ):
        text = texts[token.prompt]
        left[token.prompt] -= 1
        piece = text.add(token.id)
        yield token, piece if left[token.prompt] else piece + text.rest()


def _shown(prompts: Sequence[str], pieces: "Iterator[tuple[Token, str]]") -> Iterator[str]:
    if len(prompts) == 1:
        yield prompts[0]
        yield from (piece for _, piece in pieces)
        yield "\n"
        return
    yield "\n".join(f"{continuation.text}\n" for continuation in _gathered(prompts, pieces))


def _gathered(prompts: Sequence[str], pieces: "Iterator[tuple[Token, str]]") -> list[Continuation]:
    found = [Continuation(prompt) for prompt in prompts]
    for token, piece in pieces:
        found[token.prompt].tokens.append(token)
        found[token.prompt].pieces.append(piece)
    return found


def _form_of(out: Path) -> Callable[[Sequence[Continuation], Path], None]:
    """What writes a file of this kind."""
    forms = {".txt": _write_texts, ".jsonl": _write_lines, ".parquet": _write_rows}
    if out.is_dir():
        raise ValueError(f"--out {out}: is a folder; give a file in it")
    if out.suffix.lower() not in forms:
        raise ValueError(f"--out {out}: should end in {', '.join(forms)}")
    return forms[out.suffix.lower()]


def _write_texts(found: Sequence[Continuation], out: Path) -> None:
    """The texts, an empty line between two."""
    write_text("\n".join(f"{continuation.text}\n" for continuation in found), out)


def _write_lines(found: Sequence[Continuation], out: Path) -> None:
    """One JSON object for each prompt."""
    lines = [
        json.dumps(
            {
                "prompt": continuation.prompt,
                "text": "".join(continuation.pieces),
                "tokens": [token.id for token in continuation.tokens],
                "pieces": continuation.pieces,
                "log_probability": [token.log_probability for token in continuation.tokens],
                "entropy": [token.entropy for token in continuation.tokens],
            },
            ensure_ascii=False,
        )
        for continuation in found
    ]
    write_text("".join(f"{line}\n" for line in lines), out)


def _write_rows(found: Sequence[Continuation], out: Path) -> None:
    """One row for each token."""
    rows = [
        (token.prompt, place, token.id, piece, token.log_probability, token.entropy)
        for continuation in found
        for place, (token, piece) in enumerate(zip(continuation.tokens, continuation.pieces, strict=True))
    ]
    columns = zip(*rows, strict=True)
    write_parquet(
        pa.table(dict(zip(GENERATED.names, columns, strict=True)), schema=GENERATED), out, GENERATED
    )
