"""A results folder: where everything lies, what is finished, which cells there are."""
