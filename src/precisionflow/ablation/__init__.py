"""From resolved variants and their metrics to a table with intervals and contrasts."""
