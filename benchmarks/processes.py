"""Commands that are given a time, and asked to save before they are ended."""

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess

# Seconds that a run gets to save.
TO_SAVE = 25.0


@dataclasses.dataclass
class NotYet(Exception):
  """The time of this call is over before the item is done.

  Attributes:
    advanced: Whether the next call has less to do than this one.
  """

  advanced: bool


def wait(
  process: subprocess.Popen[bytes], seconds: float, *, save: bool = False
) -> int | None:
  """The exit code of a process; None if it was ended when its time was over.

  Args:
    process: The leader of its own session.
    seconds: Its time.
    save: Whether it is sent SIGTERM then, and given TO_SAVE seconds.
  """
  try:
    with contextlib.suppress(subprocess.TimeoutExpired):
      return process.wait(max(0.0, seconds))
    if save:
      process.terminate()
      with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(TO_SAVE)
    return None
  except KeyboardInterrupt:  # what the run has done shall not be lost
    if save:
      process.terminate()
      with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(TO_SAVE)
    raise
  finally:
    with contextlib.suppress(ProcessLookupError):  # with what it has started
      os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def newest_step(workdir: pathlib.Path) -> int:
  """The step of the newest checkpoint of a run; 0 if there is none."""
  folder = workdir / 'checkpoints' / 'latest'
  if not folder.is_dir():
    return 0
  steps = [int(f.name) for f in folder.iterdir() if f.name.isdigit()]
  return max(steps, default=0)
