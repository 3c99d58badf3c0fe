"""What can be swept: backbones, optimizers, recipes and data sets as data, and their search spaces."""
