"""The machinery under training: plain torch, DeepSpeed ZeRO, many networks as one program."""
