"""Files of every format and form that is read, and their pixels by Pillow.

  python -m tests.data.streamed.formats

prints how far our pixels are from Pillow's, as docs/pictures.md has it.
"""

import contextlib
import functools
import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps
from sklearn import datasets

ORIENTATION = 0x0112
# First column, first row, and steps of the passes of an interlaced PNG
# (W3C, Portable Network Graphics, Sec. 8.1).
_PASSES = (
  (0, 0, 8, 8),
  (4, 0, 8, 8),
  (0, 4, 4, 8),
  (2, 0, 4, 4),
  (0, 2, 2, 4),
  (1, 0, 2, 2),
  (0, 1, 1, 2),
)


@functools.cache
def photograph():
  part = datasets.load_sample_images().images[1][200:261, 300:375]
  return Image.fromarray(part)


def encoded(image, kind, **options):
  stream = io.BytesIO()
  image.save(stream, kind, **options)
  return stream.getvalue()


def exif(orientation, *, thumbnail=None, order='little'):
  """Exif whose thumbnail may have an orientation of its own."""
  mark, pack = (b'II', '<') if order == 'little' else (b'MM', '>')

  def directory(value, following):
    entry = struct.pack(pack + 'HHIHH', ORIENTATION, 3, 1, value, 0)
    return (
      struct.pack(pack + 'H', 1) + entry + struct.pack(pack + 'I', following)
    )

  tiff = mark + struct.pack(pack + 'HI', 42, 8)
  # An absent orientation leaves a directory with an entry that says nothing.
  first = directory(orientation or 1, 26 if thumbnail else 0)
  if orientation is None:
    first = first.replace(
      struct.pack(pack + 'H', ORIENTATION), struct.pack(pack + 'H', 0x9999), 1
    )
  return tiff + first + (directory(thumbnail, 0) if thumbnail else b'')


def segment(marker, body):
  return b'\xff' + bytes([marker]) + struct.pack('>H', len(body) + 2) + body


def with_segments(jpeg, *segments, at=None):
  """The JPEG with segments behind its JFIF header, or before byte `at`."""
  at = 20 if at is None else at
  return jpeg[:at] + b''.join(segments) + jpeg[at:]


def xmp(orientation):
  text = f'<x tiff:Orientation="{orientation}"/>'.encode()
  return segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0' + text)


def png_chunk(kind, body):
  sum_ = struct.pack('>I', zlib.crc32(kind + body))
  return struct.pack('>I', len(body)) + kind + body + sum_


def png(pixels, *, interlaced=False, before=b'', behind=b''):
  """A PNG of 8 or 16 bits, grey or RGB, written by hand."""
  height, width, channels = pixels.shape
  deep = pixels.astype('>u2') if pixels.dtype == np.uint16 else pixels
  color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
  parts = [deep]
  if interlaced:
    parts = [deep[y::dy, x::dx] for x, y, dx, dy in _PASSES]
  rows = b''.join(
    b'\0' + row.tobytes() for part in parts if part.size for row in part
  )
  bits = 8 * deep.dtype.itemsize
  head = struct.pack('>IIBBBBB', width, height, bits, color, 0, 0, interlaced)
  return (
    b'\x89PNG\r\n\x1a\n'
    + png_chunk(b'IHDR', head)
    + before
    + png_chunk(b'IDAT', zlib.compress(rows))
    + behind
    + png_chunk(b'IEND', b'')
  )


def rle_bmp(palette_image):
  """A BMP whose rows are run-length encoded, which Pillow does not write."""
  plain = encoded(palette_image, 'BMP')
  rows = np.asarray(palette_image)[::-1]
  data = b''.join(
    b''.join(bytes([1, index]) for index in row) + b'\0\0' for row in rows
  )
  data += b'\0\1'
  (start,) = struct.unpack_from('<I', plain, 10)
  head = bytearray(plain[:start])
  struct.pack_into('<I', head, 2, start + len(data))
  struct.pack_into('<II', head, 30, 1, len(data))
  return bytes(head) + data


def top_down_bmp(image):
  plain = bytearray(encoded(image, 'BMP'))
  (start,) = struct.unpack_from('<I', plain, 10)
  stride = (image.width * 3 + 3) // 4 * 4
  rows = [
    plain[start + stride * y : start + stride * (y + 1)]
    for y in range(image.height)
  ]
  struct.pack_into('<i', plain, 22, -image.height)
  return bytes(plain[:start] + b''.join(reversed(rows)))


def jpegs():
  image = photograph()
  plain = encoded(image, 'JPEG', quality=92)
  table = plain.index(b'\xff\xdb')
  frame = plain.index(b'\xff\xc0')
  cmyk = encoded(image.convert('CMYK'), 'JPEG', quality=92)
  adobe = cmyk.index(b'Adobe')
  files = {
    f'{kind} {sampling}': encoded(
      image, 'JPEG', quality=92, subsampling=sampling, progressive=progressive
    )
    for kind, progressive in (('baseline', False), ('progressive', True))
    for sampling in ('4:2:0', '4:2:2', '4:4:4')
  }
  icc = segment(0xE2, b'ICC_PROFILE\0\1\1' + b'\xff\xda' * 1500)
  comment = segment(0xFE, b'a comment \xff\xda\xff\xd9')
  forms = {
    'first': lambda e: (
      b'\xff\xd8' + segment(0xE1, b'Exif\0\0' + e) + plain[20:]
    ),
    'behind JFIF': lambda e: with_segments(
      plain, segment(0xE1, b'Exif\0\0' + e)
    ),
    'behind other segments': lambda e: with_segments(
      plain, icc, comment, segment(0xE1, b'Exif\0\0' + e)
    ),
    'behind tables': lambda e: with_segments(
      plain, segment(0xE1, b'Exif\0\0' + e), at=frame
    ),
    'behind tables and a segment': lambda e: with_segments(
      plain, icc, segment(0xE1, b'Exif\0\0' + e), at=frame
    ),
    'CMYK': lambda e: b'\xff\xd8' + segment(0xE1, b'Exif\0\0' + e) + cmyk[2:],
  }
  assert table == 20
  for form, put in forms.items():
    for number in range(1, 9):
      files[f'orientation {number} {form}'] = put(exif(number, order='big'))
  for number in (1, 3, 6, 8):
    files[f'orientation {number}, a thumbnail of another'] = with_segments(
      plain, segment(0xE1, b'Exif\0\0' + exif(number, thumbnail=5))
    )
    files[f'orientation {number} in XMP alone'] = with_segments(
      plain, xmp(number)
    )
  return files | {
    'none, a thumbnail of orientation 6': with_segments(
      plain, segment(0xE1, b'Exif\0\0' + exif(None, thumbnail=6))
    ),
    'orientation 0': with_segments(
      plain, segment(0xE1, b'Exif\0\0' + exif(9).replace(b'\x09', b'\0'))
    ),
    'Exif that is no TIFF': with_segments(
      plain, segment(0xE1, b'Exif\0\0' + b'no directory')
    ),
    'the word Exif in a comment': with_segments(
      plain, segment(0xFE, b'Exif\0\0' + exif(6))
    ),
    'grey': encoded(image.convert('L'), 'JPEG'),
    'RGB components': encoded(image, 'JPEG', keep_rgb=True),
    'restart markers': encoded(image, 'JPEG', restart_marker_blocks=2),
    'CMYK': cmyk,
    'YCCK': cmyk[: adobe + 11] + b'\2' + cmyk[adobe + 12 :],
    'CMYK without a marker': cmyk[:2] + cmyk[adobe + 12 :],
    'CMYK with a JFIF header': plain[:20] + cmyk[2:],
    'two pictures (MPO)': encoded(
      image, 'MPO', save_all=True, append_images=[image.rotate(180)]
    ),
  }


def pngs():
  image = photograph()
  pixels = np.asarray(image)
  alpha = np.dstack([pixels, pixels[..., 0]])
  deep = pixels.astype(np.uint16) * 256 + 77
  palette = image.quantize(50)
  grey = pixels[..., 1:2]
  files = {
    'RGB': png(pixels),
    'RGBA': png(alpha),
    'grey': png(grey),
    'grey with alpha': png(np.dstack([grey, grey])),
    'palette': encoded(palette, 'PNG'),
    'palette of 16': encoded(image.quantize(16), 'PNG', bits=4),
    'palette, one transparent': encoded(palette, 'PNG', transparency=3),
    'palette with alpha': encoded(
      palette, 'PNG', transparency=bytes(range(0, 250, 5))
    ),
    'RGB, one transparent': encoded(
      image, 'PNG', transparency=image.getpixel((0, 0))
    ),
    'two colours': encoded(image.convert('1'), 'PNG'),
    '16 bits, grey': png(deep[..., 1:2]),
    '16 bits, RGB': png(deep),
    '16 bits, RGBA': png(np.dstack([deep, deep[..., 0]])),
    'interlaced': png(pixels, interlaced=True),
    'interlaced, 16 bits': png(deep, interlaced=True),
    'animated': encoded(
      image, 'PNG', save_all=True, append_images=[image.rotate(180)]
    ),
  }
  for number in range(1, 9):
    chunk = png_chunk(b'eXIf', exif(number))
    files[f'orientation {number}'] = png(pixels, before=chunk)
    files[f'orientation {number} behind the pixels'] = png(pixels, behind=chunk)
  text = zlib.compress(b'<x tiff:Orientation="6"/>')
  files['orientation 6 in compressed XMP'] = png(
    pixels,
    before=png_chunk(b'iTXt', b'XML:com.adobe.xmp\0\1\0\0\0' + text),
  )
  return files


def others():
  image = photograph()
  palette = image.quantize(50)
  rgba = image.copy()
  rgba.putalpha(image.convert('L'))
  files = {
    'BMP 24 bits': encoded(image, 'BMP'),
    'BMP 32 bits': encoded(rgba, 'BMP'),
    'BMP palette': encoded(palette, 'BMP'),
    'BMP palette, run lengths': rle_bmp(palette),
    'BMP grey': encoded(image.convert('L'), 'BMP'),
    'BMP two colours': encoded(image.convert('1'), 'BMP'),
    'BMP from the top': top_down_bmp(image),
    'GIF': encoded(palette, 'GIF', interlace=0),
    'GIF interlaced': encoded(palette, 'GIF', interlace=1),
    'GIF transparent': encoded(palette, 'GIF', transparency=3),
    'GIF animated': encoded(
      palette, 'GIF', save_all=True, append_images=[palette.rotate(90)]
    ),
    'WebP lossy': encoded(image, 'WEBP'),
    'WebP lossless': encoded(image, 'WEBP', lossless=True),
    'WebP with alpha': encoded(rgba, 'WEBP', lossless=True, exact=True),
    'WebP animated': encoded(
      image, 'WEBP', save_all=True, append_images=[image.rotate(90)]
    ),
    'TIFF': encoded(image, 'TIFF'),
    'TIFF LZW': encoded(image, 'TIFF', compression='tiff_lzw'),
    'TIFF as JPEG': encoded(image, 'TIFF', compression='jpeg'),
    'TIFF palette': encoded(palette, 'TIFF'),
    'TIFF grey': encoded(image.convert('L'), 'TIFF'),
    'TIFF with alpha': encoded(rgba, 'TIFF'),
    'TIFF CMYK': encoded(image.convert('CMYK'), 'TIFF'),
    'TIFF two colours': encoded(
      image.convert('1'), 'TIFF', compression='group4'
    ),
  }
  for number in range(1, 9):
    files[f'WebP orientation {number}'] = encoded(
      image, 'WEBP', exif=b'Exif\0\0' + exif(number)
    )
    tagged = {ORIENTATION: number}
    files[f'TIFF orientation {number}'] = encoded(
      image, 'TIFF', tiffinfo=tagged
    )
  return files


def all_files():
  """The files by format and form."""
  files = {f'JPEG {name}': file for name, file in jpegs().items()}
  files |= {f'PNG {name}': file for name, file in pngs().items()}
  return files | others()


def refused():
  """Files that are not read, with what the reason has to say."""
  image = photograph()
  grey = np.asarray(image.convert('L'))
  jpeg = encoded(image, 'JPEG')
  return {
    'empty': (b'', 'empty'),
    'zeros': (bytes(500), 'zeros'),
    'web page': (b'<!DOCTYPE html><html>not found</html>', 'a web page'),
    'text': (b'see the other folder', 'text'),
    'LFS': (b'version https://git-lfs.github.com/spec/v1\n', 'Git LFS'),
    'JPEG cut short': (jpeg[: len(jpeg) // 2], 'cut short'),
    'JPEG of 30 bytes': (jpeg[:30], 'cut short'),
    'PNG cut short': (encoded(image, 'PNG')[:2000], 'cut short'),
    'GIF cut short': (encoded(image, 'GIF')[:2000], 'cut short'),
    'BMP cut short': (encoded(image, 'BMP')[:2000], 'cut short'),
    'WebP cut short': (encoded(image, 'WEBP')[:200], 'WEBP is damaged'),
    'AVIF': (
      b'\0\0\0\x20ftypavif' + bytes(40),
      'it is AVIF, which is not read',
    ),
    'HEIC': (
      b'\0\0\0\x20ftypheic' + bytes(40),
      'it is HEIC, which is not read',
    ),
    'JPEG 2000': (encoded(image, 'JPEG2000'), 'JPEG 2000, which is not'),
    'icon': (encoded(image, 'ICO'), 'an icon, which is not'),
    'TIFF of floats': (
      encoded(Image.fromarray(grey.astype(np.float32)), 'TIFF'),
      'mode F',
    ),
    'TIFF of 16 bits': (
      encoded(Image.fromarray(grey.astype(np.uint16)), 'TIFF'),
      'mode I;16',
    ),
    'TIFF of 32 bits': (
      encoded(Image.fromarray(grey.astype(np.int32)), 'TIFF'),
      'mode I',
    ),
  }


def pillows(contents):
  """The upright picture by Pillow, uint8 [h, w, 3]."""
  image = Image.open(io.BytesIO(contents))
  image.load()
  image.info.pop('transparency', None)
  with contextlib.suppress(SyntaxError):  # its Exif is none
    image = ImageOps.exif_transpose(image)
  if image.mode.startswith('I;16'):  # Pillow would clip what is above 255
    high = np.asarray(image) // 256
    return np.repeat(high[..., None], 3, -1).astype(np.uint8)
  return np.asarray(image.convert('RGB'))


@functools.cache
def _reader():
  import tensorflow as tf

  from resnet_jax.data.streamed import decode, windows

  @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
  def read(contents):
    size = decode.upright_size(contents)
    zero = tf.constant(0)
    return decode.resample(
      contents,
      windows.Window(zero, zero, *size),
      height=size[0],
      width=size[1],
      antialias=False,
    )

  return read


def ours(contents):
  """The whole picture at its own size, as training and tests read it."""
  return _reader()(contents).numpy()


def difference(contents, pixels=None):
  """Greatest and mean distance from Pillow's pixels, of 255."""
  theirs = pillows(contents).astype(int)
  mine = ours(contents) if pixels is None else pixels
  assert mine.shape == theirs.shape, (mine.shape, theirs.shape)
  apart = np.abs(mine - theirs)
  return int(apart.max()), float(apart.mean())


def main():
  groups = {}
  for name, contents in all_files().items():
    kind, _, form = name.partition(' ')
    found = groups.setdefault(kind, {})
    for word in (' orientation', ' none, a thumbnail'):
      if (' ' + form).startswith(word):
        form = 'orientations'
    found.setdefault(form or 'plain', []).append(difference(contents))
  print('| Format | Forms | Files | Greatest difference | Mean difference |')
  print('|---|---|---:|---:|---:|')
  for kind, found in groups.items():
    forms = '; '.join(
      form if len(apart) == 1 else f'{form} ({len(apart)})'
      for form, apart in found.items()
    )
    every = [one for apart in found.values() for one in apart]
    most, mean = max(m for m, _ in every), np.mean([m for _, m in every])
    print(f'| {kind} | {forms} | {len(every)} | {most} | {mean:.3f} |')


if __name__ == '__main__':
  main()
