"""Commands, one file each, from start to what is told at the end."""
