"""The sections of an article: one file each, with its template beside it."""
