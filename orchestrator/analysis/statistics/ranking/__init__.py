"""Whether backbones agree on the order of optimizers, which is best on which, and what one for all of them costs."""
