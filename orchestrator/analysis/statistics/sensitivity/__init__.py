"""How much an optimizer must be tuned, and which hyper-parameters matter: from trials of the shared design only."""
