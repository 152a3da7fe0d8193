"""Damage to files, drawn by a seed: flipped bits, cuts, and other contents."""

import numpy as np


def damaged(contents: bytes, seed: int) -> bytes:
  """The contents with one of several kinds of damage."""
  rng = np.random.default_rng(seed)
  data = np.frombuffer(contents, np.uint8).copy()
  kind = rng.integers(6)
  if kind <= 2:  # a bit, eight bits, or bits of the first and last kilobyte
    places = rng.integers(len(data), size=8 if kind else 1)
    if kind == 2:
      near = min(len(data), 1000)
      ends = np.r_[0:near, len(data) - near : len(data)]
      places = rng.choice(ends, 4)
    data[places] ^= np.left_shift(1, rng.integers(8, size=len(places))).astype(
      np.uint8
    )
  elif kind == 3:
    data = data[: rng.integers(len(data))]
  elif kind == 4:
    start, length = rng.integers(len(data)), rng.integers(1, 64)
    data[start : start + length] = rng.integers(256)
  else:
    start = rng.integers(len(data))
    extra = rng.integers(256, size=rng.integers(1, 64), dtype=np.uint8)
    data = np.concatenate([data[:start], extra, data[start:]])
  return data.tobytes()
