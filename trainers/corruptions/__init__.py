"""The corruptions of CIFAR-C, a whole batch at a time on the device; `catalogue` has them all."""
