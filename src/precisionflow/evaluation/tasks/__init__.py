"""How each task is evaluated."""
