"""When this process began."""

import os
import pathlib
import time


def process_began() -> float:
  """The moment at which this process was created, by time.monotonic().

  Where the system does not tell, that of the call.
  """
  now = time.monotonic()
  try:
    stat = pathlib.Path('/proc/self/stat').read_text()
    # The 22nd field counts ticks since the machine was started; the second is
    # the command's name in parentheses, which may hold anything.
    ticks = int(stat.rpartition(')')[2].split()[19])
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return now - (since_boot - ticks / os.sysconf('SC_CLK_TCK'))
  except (OSError, AttributeError, ValueError, IndexError):
    return now
