"""The tables of docs/attention.md are those that the code gives."""

from tests.attention_table import BEGIN, DOCUMENT, END, tables


def test_the_tables_are_up_to_date():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == tables(), (
        "say python -m tests.attention_table"
    )
