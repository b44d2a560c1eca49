"""The report of a search: its page and its figures."""
