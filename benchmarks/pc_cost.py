"""What predictive coding costs: step and memory over backprop's at 4, 8 and 12 layers, and a step beside that of `pcx`.

    python benchmarks/pc_cost.py --peer PEER/bin/python --json FILE

The bars of cost in one process, in less than five minutes of two cores that nothing else uses. Losses are those after
few steps; `predictive_coding.py` trains longer, `pc_peer.py` says how to make the environment of the peer.
"""

import pc_peer
import predictive_coding
import torch
from measured import present

DEPTHS = (4, 8, 12)
STEPS, STEPS_OF_DIGITS = 30, 400
TWINS = ("precision 1000", "one iteration", *predictive_coding.STEP_BARS)
"""The local gradient with 2 and 1 iterations, and all that a bar of the step is for."""


def main() -> None:
    """Measure both networks."""
    given = pc_peer.peer_arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    results = pc_peer.compared(STEPS_OF_DIGITS, given.peer)
    for layers in DEPTHS:
        results += predictive_coding.compared(layers, steps=STEPS, names=TWINS)
    present(results, given.json)


if __name__ == "__main__":
    main()
