"""Training: the stage, the loop, the engines under it and the rules that they follow."""
