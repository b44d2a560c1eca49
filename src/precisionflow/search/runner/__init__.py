"""A study run on this machine: each trial a process of its own, kept in the journal."""
