"""Reads, by Pillow, the pictures that TensorFlow does not read rightly.

TensorFlow's decoders look at no orientation, take the indices of a palette BMP
for grey levels, and know no WebP or TIFF. So they decode only JPEGs, of which
they can decode a part, and this module says which, and how these are turned.
"""

import io
import re

import numpy as np
from PIL import Image

from resnet_jax.errors import first_line

# The formats that are read, by Pillow's names, and the suffixes of their files.
_FORMATS = {
  'JPEG': ('.jpg', '.jpeg', '.jpe', '.jfif'),
  'PNG': ('.png',),
  'BMP': ('.bmp',),
  'GIF': ('.gif',),
  'WEBP': ('.webp',),
  'TIFF': ('.tif', '.tiff'),
}
SUFFIXES = tuple(suffix for group in _FORMATS.values() for suffix in group)
# TIFF and EXIF number orientations alike (JEITA CP-3451, Sec. 4.6.4).
_ORIENTATION = 0x0112
# Whether the rows, and whether the columns, are reversed to turn a picture
# upright, by orientation; from 5 on it is transposed before. 0 is none.
FLIPS = (
  (False, False),
  (False, False),
  (False, True),
  (True, True),
  (True, False),
  (False, False),
  (False, True),
  (True, True),
  (True, False),
)
# A PNG may tell its orientation behind its pixels, which Pillow decodes to look
# for it. One without these names has none; XMP may be compressed.
_PNG_MARKS = (b'eXIf', b'XML:com.adobe.xmp', b'Raw profile type')
# What TensorFlow turns into RGB as Pillow does; CMYK is inverted or not.
_PLAIN_JPEG = ('L', 'RGB')
_MODES = ('1', 'L', 'LA', 'P', 'PA', 'RGB', 'RGBA', 'RGBX', 'CMYK', 'YCbCr')
# The starts of formats that are not read, of which users have files that are
# named as if they were.
_STRANGERS = (
  (rb'.{4}ftyp(avif|avis)', 'AVIF'),
  (rb'.{4}ftyp(hei|hev|mif1|msf1)', 'HEIC'),
  (rb'\xff\x0a|\x00\x00\x00\x0cJXL ', 'JPEG XL'),
  (rb'\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51', 'JPEG 2000'),
  (rb'8BPS', 'a Photoshop file'),
  (rb'%PDF|%!PS', 'PDF or PostScript'),
  (rb'\x00\x00\x01\x00', 'an icon'),
  (rb'P[1-7]\s', 'a portable map (PPM)'),
  (rb'PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf', 'an archive'),
  (rb'version https://git-lfs', 'the placeholder of a Git LFS file'),
  (rb'(?i)\s*(<\?xml[^>]*>\s*)?<svg', 'SVG'),
  (rb'(?i)\s*<(!doctype|html|head|\?xml|!--)', 'a web page'),
  (rb'[\t\n\r -~]{16}', 'text'),
)
# Bytes at which a file of a format that is read begins.
_HEADS = {
  'JPEG': rb'\xff\xd8',
  'PNG': rb'\x89PNG',
  'BMP': rb'BM',
  'GIF': rb'GIF8',
  'WEBP': rb'RIFF.{4}WEBP',
  'TIFF': rb'II\*\x00|MM\x00\*',
}


class Unreadable(Exception):
  """A picture that cannot be read; the message is a clause on the file."""


def look(contents: bytes) -> np.ndarray:
  """What has to be known of a picture before a part of it is decoded.

  Returns:
    int32 [4]: height and width of the stored picture, its orientation, 1 to 8,
    and 1 where TensorFlow decodes it as Pillow does, else 0.
  """
  image = _open(contents)
  if image.format == 'TIFF':  # which Pillow turns while it decodes
    image.load()
  jpeg = image.format in ('JPEG', 'MPO') and image.mode in _PLAIN_JPEG
  told = image.format != 'PNG' or any(m in contents for m in _PNG_MARKS)
  orientation = _orientation(image) if told else 1
  return np.array([*image.size[::-1], orientation, jpeg], np.int32)


def decode(contents: bytes) -> np.ndarray:
  """The stored picture, uint8 [h, w, 3]; alpha is dropped.

  Of several pictures in a file it is the first. Of 16 bits it is the upper 8.
  """
  image = _open(contents)
  if image.format == 'PNG':  # whose checksums Pillow looks at only when asked
    image.verify()
    image = _open(contents)
  image.load()
  # Pillow would warn of a palette whose transparency is dropped.
  image.info.pop('transparency', None)
  # A TIFF of this mode may have 12 bits, or white as 0, which Pillow ignores.
  if image.mode.startswith('I;16') and image.format == 'PNG':
    high = (np.asarray(image) >> 8).astype(np.uint8)
    return np.repeat(high[..., np.newaxis], 3, -1)
  if image.mode not in _MODES:
    raise Unreadable(
      f"its pixels are of Pillow's mode {image.mode}, which is not read; "
      f'store it with 8 bits a channel'
    )
  return np.array(image.convert('RGB'))


def upright(contents: bytes) -> np.ndarray:
  """The whole picture as it is to be seen, uint8 [h, w, 3]."""
  orientation = int(look(contents)[2])
  picture = decode(contents)
  if orientation >= 5:
    picture = picture.swapaxes(0, 1)
  rows, columns = (
    slice(None, None, -1 if f else 1) for f in FLIPS[orientation]
  )
  return picture[rows, columns]


def explain(contents: bytes) -> str | None:
  """Why a picture cannot be read, or None where Pillow can read it."""
  try:
    look(contents)
    decode(contents)
  except Unreadable as e:
    return str(e)
  except Exception as e:  # Pillow raises some dozen kinds, from many layers
    return _reason(contents, e)
  return None


def _open(contents: bytes) -> Image.Image:
  return Image.open(io.BytesIO(contents), formats=tuple(_FORMATS))


def _orientation(image: Image.Image) -> int:
  try:
    value = image.getexif().get(_ORIENTATION, 1)
  except Exception:  # Exif that cannot be parsed says nothing
    return 1
  return value if value in range(1, 9) else 1


def _reason(contents: bytes, error: Exception) -> str:
  if not contents.strip(b'\0'):
    return 'it holds nothing but zeros' if contents else 'it is empty'
  for kind, head in _HEADS.items():
    if re.match(head, contents, re.DOTALL):
      text = first_line(error)
      if 'truncated' in text.lower():
        return f'it is cut short ({kind})'
      if isinstance(error, Image.UnidentifiedImageError):
        return f'the header of its {kind} is damaged, or cut short'
      return f'its {kind} is damaged ({text})'
  read = ', '.join(_FORMATS)
  for head, name in _STRANGERS:
    if re.match(head, contents, re.DOTALL):
      return f'it is {name}, which is not read as a picture ({read} are)'
  return f'it is of no format that is read ({read})'
