"""Where examples come from, and how a training batch is made of them.

load.py chooses. A small set (sources.py, arrays.py) is resident on the devices,
and on_device.py makes its batches inside the compiled step. Pictures of any
size (pictures.py, tfrecords.py) are streamed: windows.py says which part a crop
shows, decode.py decodes that part, stream.py does so in the background. feed.py
is what training and evaluation ask of both, order.py says which example is
where.
"""
