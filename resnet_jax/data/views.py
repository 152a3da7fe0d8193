"""The views of an image that are tested (Sec. 3.4, 4.1)."""

import dataclasses

# 'single': the central crop, or an image of a small set as it is. 'ten_crop':
# four corners and centre, and their mirror images (Tables 2 and 3). 'dense':
# the whole image and its mirror image at several scales (Table 4).
NAMES = ('single', 'ten_crop', 'dense')


@dataclasses.dataclass(frozen=True)
class Views:
  """The views of an image that are scored.

  Attributes:
    name: One of `NAMES`.
    shorter_sides: Pixels, one for each scale; () takes images as they are.
    crop: Side of the crops, pixels; where `name` is 'dense', side of the images
      that the network was trained on.
  """

  name: str
  shorter_sides: tuple[int, ...]
  crop: int

  @property
  def crops(self) -> int:
    """Crops of an image that the host cuts out."""
    return 5 if self.name == 'ten_crop' else 1

  def describe(self) -> str:
    """In words: 'ten crops of 224 at shorter side 256'."""
    if not self.shorter_sides:
      return 'each image as it is'
    kind = {
      'single': f'centre crop of {self.crop}',
      'ten_crop': f'ten crops of {self.crop}',
      'dense': 'densely, and flipped,',
    }[self.name]
    sides = ', '.join(map(str, self.shorter_sides))
    plural = 's' if len(self.shorter_sides) > 1 else ''
    return f'{kind} at shorter side{plural} {sides}'
