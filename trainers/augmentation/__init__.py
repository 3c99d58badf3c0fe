"""Augmentation of a whole batch on its device, with draws of its own for every image."""
