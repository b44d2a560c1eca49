"""Planning under uncertainty: discrete generative models, exact beliefs, expected free energy, policies, worlds."""
