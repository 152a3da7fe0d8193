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


def first_line(error: Exception) -> str:
  """What another's error says, short enough to stand in our own."""
  text = str(error).strip() or type(error).__name__
  return text.splitlines()[0].rstrip('.')[:200]
