"""Optimizers built and checked, those that no library has right, and the learning rate."""
