"""Answers of a served model: columns that it takes and gives, and tables of answers."""
