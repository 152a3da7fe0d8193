"""What TensorFlow raises where a picture cannot be read, and why.

TensorFlow is imported within functions: a run that streams nothing needs none.
"""

import re


def failures() -> tuple[type[Exception], ...]:
  """What is raised where a picture cannot be read."""
  import tensorflow as tf

  # A message of TensorFlow may hold a path or contents that are no UTF-8.
  return tf.errors.OpError, UnicodeDecodeError


def of_disk() -> tuple[type[Exception], ...]:
  """What TensorFlow makes of errors of the system in reading a file."""
  import tensorflow as tf

  return (
    tf.errors.PermissionDeniedError,
    tf.errors.UnknownError,  # EIO
    tf.errors.AbortedError,  # ESTALE
    tf.errors.DeadlineExceededError,  # ETIMEDOUT
    tf.errors.UnavailableError,  # ECONNRESET, EHOSTDOWN
    tf.errors.ResourceExhaustedError,  # ENOMEM, EMFILE
    tf.errors.FailedPreconditionError,  # ENOTCONN
  )


def reason_of(error: Exception) -> str:
  """TensorFlow's message, without the places in its graph."""
  text = re.sub(r'\{\{.*?\}\}|\[.*?\]+| name: *$', '', str(error))
  lines = [line.strip(' .') for line in text.splitlines()]
  noise = ('Graph execution error', 'Detected at', '<stack')
  return next((x for x in lines if x and not x.startswith(noise)), 'unknown')


def system_reason(error: Exception) -> str:
  """The words of the system in TensorFlow's message, behind the file's name."""
  return reason_of(error).rpartition('; ')[2]
