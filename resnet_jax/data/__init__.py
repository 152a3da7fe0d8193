"""Where examples come from, and how a training batch is made of them.

load.py           chooses the wing that a config asks for
feed.py           what training and evaluation ask of either wing
order.py          which example is where, and which are held out
views.py          which views of an image are tested
normalization.py  from pixels to what a network sees
tfds_sets.py      sets that TFDS prepares; digits.py is one of our own
arrays.py         reads .npz files that may be damaged
resident/         small images of one size, kept on the devices
  sources.py      reads a set: TFDS, an .npz file or a folder (files.py)
  images.py       its checks, its splits and its fingerprint
  batch.py        makes a batch inside the compiled step: crop, flip, mean
  data.py         answers feed.py's questions
streamed/         pictures of any size, decoded while the devices train
  sources.py      finds a set: TFDS or a folder
  folders.py      says which files are pictures; class_folders.py: their labels
  records.py      its examples as files; tfrecords.py: as TFRecords
  windows.py      chooses the part of a picture that a crop shows
  decode.py       decodes that part; turning.py turns it upright
  pillow.py       says which pictures TensorFlow reads, and reads the others
  resampling.py   brings it to the size of the crop
  stream.py       does so in the background, past damaged pictures
  damaged.py      knows these, and what stands in for them
  feed.py         training batches; view_reader.py: the views that tests look at
  data.py         answers feed.py's questions
"""
