"""Tagged sentences: their words and tags, and the block that predicts one column of tags."""

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from precisionflow.config.tasks import Tagging
from precisionflow.config.tasks.texts import Tag
from precisionflow.data.description.described import Description
from precisionflow.data.readers.conllu import Skipped, read_sentences

MOST_SENTENCES = 100_000
"""Sentences that are looked at."""
TAGS: tuple[Tag, ...] = get_args(Tag)
"""Columns that can be predicted, the first that says something before others."""


def describe_sentences(path: Path, target: str | None) -> tuple[Description, bool]:
    """(what the beginning of a CoNLL-U file holds, whether that is all); `target` is the column of the tags.

    ValueError for a line that the format does not allow, and where no word has a tag.
    """
    skipped: Counter[Skipped] = Counter()
    sentences = list(islice(read_sentences(path, TAGS, skipped), MOST_SENTENCES))
    words = [labels for sentence in sentences for labels in sentence.labels]
    if target is not None and target not in TAGS:
        raise ValueError(f"{path}: --target {target}; CoNLL-U has tags in {' and '.join(TAGS)}")
    wanted = TAGS if target is None else (target,)
    counted = {name: Counter(labels[TAGS.index(name)] for labels in words) for name in wanted}
    tagged = {name: counts for name, counts in counted.items() if set(counts) - {None}}
    if not tagged:
        raise ValueError(f"{path}: no word has a tag in {' or '.join(wanted)}; write one, a `_` says nothing")
    column, counts = next(iter(tagged.items()))
    without, longest = counts.pop(None, 0), max(len(sentence.words) for sentence in sentences)
    task: dict[str, Any] = {
        "kind": "tagging",
        "source": {"kind": "conllu", "path": str(path.absolute())},
        "column": column,
    }
    problems = [f"{count} {name} are no words and are skipped" for name, count in skipped.items()]
    if without:
        problems.append(f"{without} words have no tag in {column} and are read, not predicted")
    if longest > Tagging.model_fields["context"].default:
        task["context"] = longest
    else:
        problems.append(f"the longest sentence has {longest} words")
    of = f"the first {len(sentences)}" if len(sentences) == MOST_SENTENCES else str(len(sentences))
    marked = sentences[-1].document
    documents = f" of {marked} documents" if marked else ""
    summary = f"CoNLL-U, {of} sentences{documents}: {len(words)} words, {len(counts)} tags in {column}"
    said = f"predicts the tag {column} of each word"
    return Description(summary, (), tuple(problems), task, said), len(sentences) < MOST_SENTENCES
