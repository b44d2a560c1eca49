"""Engines, one file each: plain torch, DeepSpeed ZeRO, many networks as one program."""
