"""One command each, from start to what is told at the end."""
