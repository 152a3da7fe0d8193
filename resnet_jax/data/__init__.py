"""Where examples come from, and how a training batch is made of them.

sources.py reads a whole set into memory (TFDS or .npz), arrays.py checks and
splits it, order.py says which example is where in training, and on_device.py
makes batches inside the compiled step.
"""
