"""Purposes of randomness: each has a key of its own under the run's seed."""

INIT, AUGMENT, DROPOUT = 0, 1, 2
