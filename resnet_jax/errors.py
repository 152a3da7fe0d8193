"""The error for what a user can mend, and the words for near misses."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
  """Something the user can mend; the message says how.

  `main` prints it as one paragraph, without a traceback, and exits with 1.
  """


def did_you_mean(word: str, words: Iterable[str]) -> str:
  """` (did you mean 'x'?)` where one of `words` is near `word`, else ''."""
  match = difflib.get_close_matches(word, list(words), 1)
  return f' (did you mean {match[0]!r}?)' if match else ''
