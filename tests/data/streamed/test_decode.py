"""Decoded and resampled windows, against NumPy and Pillow on photographs."""

import functools
import io
import os
import pathlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn import datasets

tf = pytest.importorskip('tensorflow')

from resnet_jax.data.streamed import decode, windows  # noqa: E402

CROP = 96
FILES = pathlib.Path(os.environ.get('RESNET_JAX_TEST_DATA', '?'), 'jpegs')


@functools.cache
def photograph(index, width, height):
  image = Image.fromarray(datasets.load_sample_images().images[index])
  return image.resize((width, height), Image.BICUBIC)


def encoded(image, kind='JPEG', **options):
  stream = io.BytesIO()
  image.save(stream, kind, **options)
  return stream.getvalue()


def with_exif(jpeg, orientation, *, order, jfif):
  """The JPEG with an orientation in Exif, after its JFIF header or not."""
  number = functools.partial(int.to_bytes, byteorder=order)
  entries = [  # the maker's name, then the orientation
    number(0x010F, 2) + number(2, 2) + number(4, 4) + b'who\0',
    number(0x0112, 2)
    + number(3, 2)
    + number(1, 4)
    + number(orientation, 2)
    + b'\0\0',
  ]
  mark = b'II' if order == 'little' else b'MM'
  tiff = mark + number(42, 2) + number(8, 4) + number(len(entries), 2)
  body = b'Exif\0\0' + tiff + b''.join(entries) + bytes(4)
  segment = b'\xff\xe1' + (len(body) + 2).to_bytes(2, 'big') + body
  header = jpeg[:20]  # start of image and the JFIF segment
  assert header[6:10] == b'JFIF'
  return (header if jfif else header[:2]) + segment + jpeg[20:]


@functools.cache
def resampler(height, width, antialias, dtype):
  @tf.function(
    input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([4], dtype)]
  )
  def function(contents, window):
    return decode.resample(
      contents,
      windows.Window(*tf.unstack(window)),
      height=height,
      width=width,
      antialias=antialias,
    )

  return function


def ours(contents, window, *, antialias, height=CROP, width=CROP):
  window = tf.stack(window)
  result = resampler(height, width, antialias, window.dtype)(contents, window)
  assert result.dtype == tf.uint8
  assert result.shape == (height, width, 3)
  return result.numpy().astype(int)


def decoded(contents):
  """The whole picture by TensorFlow, with the DCT that `resample` uses."""
  return tf.io.decode_jpeg(
    contents, channels=3, dct_method='INTEGER_ACCURATE'
  ).numpy()


def weights(pixels, samples, antialias):
  """Weights of all pixels of a side in each sample, float64 [samples, n]."""
  step = pixels / samples
  centres = (np.arange(samples) + 0.5) * step
  reach = max(step, 1) if antialias else 1
  apart = centres[:, None] - (np.arange(pixels) + 0.5)
  triangle = np.maximum(0, 1 - np.abs(apart) / reach)
  return triangle / triangle.sum(1, keepdims=True)


def resized(picture, height, width, antialias):
  rows = weights(picture.shape[0], height, antialias)
  columns = weights(picture.shape[1], width, antialias)
  return np.einsum('yh,hwc,xw->yxc', rows, picture, columns, optimize=True)


def window_of(shape, height, width, top, left):
  """The crop at (top, left) of shape [h, w] resized to (height, width)."""
  y, x = shape[0] / height, shape[1] / width
  values = (top * y, left * x, CROP * y, CROP * x)
  return tf.constant(values, tf.float32)


def corners_and_centre(height, width):
  bottom, right = height - CROP, width - CROP
  return [
    (0, 0),
    (0, right),
    (bottom, 0),
    (bottom, right),
    (bottom // 2, right // 2),
  ]


def assert_close(result, expected, *, most, mean=1.0):
  difference = np.abs(result - expected)
  assert difference.max() <= most
  assert difference.mean() < mean


# Rounding takes 0.5; the rest is float32 against float64.
ROUNDED = 0.52
# Shorter sides that enlarge, nearly keep, and shrink by more than two.
SIDES = (100, 189, 263)


@pytest.mark.parametrize('antialias', [False, True])
@pytest.mark.parametrize(
  ('size', 'subsampling', 'quality'),
  [
    ((251, 187), '4:2:0', 90),
    ((187, 251), '4:2:0', 50),
    ((640, 427), '4:4:4', 95),
    ((333, 500), '4:2:2', 75),
    ((99, 71), '4:2:0', 90),
  ],
)
def test_a_window_is_the_crop_of_the_whole(
  size, subsampling, quality, antialias
):
  contents = encoded(
    photograph(quality % 2, *size), subsampling=subsampling, quality=quality
  )
  picture = decoded(contents)
  h, w = picture.shape[:2]
  for side in SIDES:
    height, width = (round(s * side / min(h, w)) for s in (h, w))
    whole = resized(picture, height, width, antialias)
    for top, left in corners_and_centre(height, width):
      result = ours(
        contents,
        window_of((h, w), height, width, top, left),
        antialias=antialias,
      )
      expected = whole[top : top + CROP, left : left + CROP]
      assert_close(result, expected, most=ROUNDED)


@pytest.mark.parametrize('subsampling', ['4:2:0', '4:4:4'])
def test_antialiased_is_pillows_bilinear(subsampling):
  # Both decode with libjpeg-turbo's accurate DCT and smooth chroma. Pillow
  # rounds to uint8 between its two passes.
  image = photograph(1, 640, 427)
  contents = encoded(image, subsampling=subsampling, quality=88)
  opened = Image.open(io.BytesIO(contents))
  for side in SIDES:
    height, width = side, round(640 * side / 427)
    whole = np.array(opened.resize((width, height), Image.BILINEAR), int)
    for top, left in corners_and_centre(height, width):
      window = window_of((427, 640), height, width, top, left)
      result = ours(contents, window, antialias=True)
      expected = whole[top : top + CROP, left : left + CROP]
      assert_close(result, expected, most=1, mean=0.3)


@pytest.mark.parametrize('antialias', [False, True])
def test_a_window_of_whole_pixels_is_cut_out_first(antialias):
  # Its left edges are those of the decoder's blocks, and others.
  contents = encoded(photograph(0, 300, 200), subsampling='4:2:0')
  picture = decoded(contents)
  for window in [
    (0, 0, 200, 300),
    (32, 48, 81, 64),
    (33, 47, 50, 161),
    (150, 239, 50, 61),
    (199, 0, 1, 1),
  ]:
    top, left, h, w = window
    cut = picture[top : top + h, left : left + w]
    result = ours(
      contents, tf.constant(window), antialias=antialias, height=60, width=70
    )
    assert_close(result, resized(cut, 60, 70, antialias), most=ROUNDED)


@pytest.mark.parametrize('antialias', [False, True])
@pytest.mark.parametrize('size', [(1, 1), (3, 40), (40, 1)])
def test_pictures_far_smaller_than_the_crop(size, antialias):
  contents = encoded(photograph(0, *size))
  picture = decoded(contents)
  h, w = picture.shape[:2]
  height, width = (s * 120 // min(h, w) for s in (h, w))
  whole = resized(picture, height, width, antialias)
  for top, left in corners_and_centre(height, width):
    window = window_of((h, w), height, width, top, left)
    result = ours(contents, window, antialias=antialias)
    expected = whole[top : top + CROP, left : left + CROP]
    assert_close(result, expected, most=ROUNDED)


def test_the_size_of_the_result_may_be_known_late():
  contents = encoded(photograph(0, 130, 97))

  @tf.function
  def halved(contents):
    size = decode.upright_size(contents)
    height, width = windows.resized(size, 48)
    return decode.resample(
      contents,
      windows.whole(size),
      height=height,
      width=width,
      antialias=True,
    )

  expected = resized(decoded(contents), 48, 64, True)
  assert_close(halved(contents).numpy().astype(int), expected, most=ROUNDED)


@functools.cache
def upright_size():
  spec = tf.TensorSpec([], tf.string)
  return tf.function(decode.upright_size, input_signature=[spec])


@pytest.mark.parametrize('jfif', [False, True])
@pytest.mark.parametrize('order', ['little', 'big'])
def test_exif_orientation_is_pillows(order, jfif):
  plain = encoded(photograph(0, 251, 187), quality=95, subsampling='4:2:0')
  for orientation in (*range(1, 9), 0, 9):
    contents = with_exif(plain, orientation, order=order, jfif=jfif)
    opened = Image.open(io.BytesIO(contents))
    assert opened.getexif()[0x0112] == orientation
    picture = np.asarray(ImageOps.exif_transpose(opened))
    shape = picture.shape[:2]
    assert tuple(int(s) for s in upright_size()(contents)) == shape
    height, width = (round(s * 131 / 187) for s in shape)
    whole = resized(picture, height, width, True)
    for top, left in corners_and_centre(height, width):
      window = window_of(shape, height, width, top, left)
      expected = whole[top : top + CROP, left : left + CROP]
      # Two decoders: now and then they round apart.
      assert_close(
        ours(contents, window, antialias=True), expected, most=2, mean=0.3
      )
    cut = tf.constant((3, 5, CROP, CROP))
    expected = picture[3 : 3 + CROP, 5 : 5 + CROP]
    assert_close(ours(contents, cut, antialias=False), expected, most=2)


def other_kinds():
  image = photograph(0, 160, 120)
  alpha = Image.merge('RGBA', (*image.split(), image.convert('L')))
  grey = image.convert('L')
  # Pillow writes 16 bits for grey only. Low bytes that differ from the high.
  deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 256 + 77)
  palette = image.convert('P', palette=Image.Palette.ADAPTIVE)
  return {
    'grey JPEG': (encoded(grey), grey),
    'PNG': (encoded(image, 'PNG'), image),
    'grey PNG': (encoded(grey, 'PNG'), grey),
    'PNG with alpha': (encoded(alpha, 'PNG'), image),
    '16-bit PNG': (encoded(deep, 'PNG'), grey),
    'palette PNG': (encoded(palette, 'PNG'), palette),
    'BMP': (encoded(image, 'BMP'), image),
    'GIF': (
      encoded(
        palette, 'GIF', save_all=True, append_images=[palette.rotate(90)]
      ),
      palette,
    ),
  }


@pytest.mark.parametrize('antialias', [False, True])
def test_other_formats_become_rgb(antialias):
  for name, (contents, image) in other_kinds().items():
    if name == 'grey JPEG':
      image = Image.open(io.BytesIO(contents))
    picture = np.asarray(image.convert('RGB'))
    size = upright_size()(contents)
    assert tuple(int(s) for s in size) == (120, 160), name
    whole = resized(picture, 100, 133, antialias)
    for top, left in corners_and_centre(100, 133):
      window = window_of((120, 160), 100, 133, top, left)
      result = ours(contents, window, antialias=antialias)
      expected = whole[top : top + CROP, left : left + CROP]
      assert_close(result, expected, most=1.02)


def test_cmyk_is_nearly_pillows_rgb():
  image = photograph(1, 160, 120).convert('CMYK')
  contents = encoded(image, quality=95)
  picture = np.asarray(Image.open(io.BytesIO(contents)).convert('RGB'), int)
  result = ours(contents, tf.constant((0, 0, CROP, CROP)), antialias=False)
  # Both take RGB as (1 - CMY) (1 - K), rounded differently.
  assert_close(result, picture[:CROP, :CROP], most=3)


@pytest.mark.parametrize('contents', [b'', b'no picture', b'\xff\xd8\xff\xe0'])
def test_what_is_no_picture_is_an_error(contents):
  with pytest.raises(tf.errors.OpError):
    upright_size()(contents)
  with pytest.raises(tf.errors.OpError):
    ours(contents, tf.constant((0, 0, CROP, CROP)), antialias=False)


@pytest.mark.skipif(not FILES.is_dir(), reason='RESNET_JAX_TEST_DATA not set')
def test_files_of_all_sorts():
  for index, file in enumerate(sorted(FILES.iterdir())):
    contents = file.read_bytes()
    opened = ImageOps.exif_transpose(Image.open(file)).convert('RGB')
    height, width = (int(s) for s in upright_size()(contents))
    assert (width, height) == opened.size, file.name
    side = 128 + 3 * index
    size = [round(s * side / min(height, width)) for s in (height, width)]
    whole = np.array(opened.resize(size[::-1], Image.BILINEAR), int)
    top, left = corners_and_centre(*size)[index % 5]
    window = window_of((height, width), *size, top, left)
    result = ours(contents, window, antialias=True)
    expected = whole[top : top + CROP, left : left + CROP]
    assert_close(result, expected, most=2, mean=0.3)
