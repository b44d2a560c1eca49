"""A text: its symbols and words, and the block that predicts the next character."""

from pathlib import Path

from precisionflow.config.sources import TextFile
from precisionflow.config.tables import FileForm
from precisionflow.data.description.described import Description
from precisionflow.data.sources.text_file import open_text_files

MOST_CHARACTERS = 1 << 24
"""Characters of a text that are looked at."""


def describe_text(path: Path, form: FileForm | None) -> tuple[Description, bool]:
    source = {"kind": "text_file", "path": str(path.absolute())}
    if form is not None and form.encoding is not None:
        source["encoding"] = form.encoding
    text = open_text_files(TextFile.model_validate(source)).text
    begun, whole = "", True
    for chunk in text.chunks():
        begun += chunk.decode()
        if len(begun) > MOST_CHARACTERS:
            whole = False
            break
    counted = f"{len(begun)} characters" if whole else f"of the first {len(begun)} characters"
    summary = f"text, {counted}: {len(set(begun))} symbols, {len(begun.split())} words"
    problems = list(text.notes)
    if "\r" in begun:
        problems.append(f"carriage returns ({begun.count(chr(13))}) are characters like any other")
    task = {"kind": "next_token", "source": source}
    return Description(summary, (), tuple(problems), task, "predicts the next character"), whole
