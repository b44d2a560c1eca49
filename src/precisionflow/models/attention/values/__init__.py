"""What attention averages, one file each: values of the tokens at the other end of the edges."""
