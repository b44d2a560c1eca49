"""Values that attention averages, one file each: maps of the tokens at the other end of the edges."""
