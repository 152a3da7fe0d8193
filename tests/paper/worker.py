"""A command for the tests of processes: `python -m tests.paper.worker`.

worker FOLDER write NAME FILE ...   writes the cores that it may use, if it
                                    has inherited the descriptors FILE ...
worker FOLDER meet NAME OTHER       waits until OTHER is there, too
worker FOLDER save NAME             runs until it is told to stop, then saves
worker FOLDER hang NAME             runs on when it is told to stop
worker FOLDER fail TEXT CODE        prints, and exits with a code
"""

import os
import pathlib
import signal
import sys
import time


def main(folder, verb, name, *words):
  file = pathlib.Path(folder, name)
  told = []
  assert os.getsid(0) == os.getpid(), "within reach of the terminal's ^C"
  if verb == 'fail':
    print(name)
    return int(words[0])
  if verb == 'write':
    for descriptor in words:
      os.fstat(int(descriptor))
  if verb in ('save', 'hang'):
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
  if hasattr(os, 'sched_getaffinity'):
    file.write_text(' '.join(map(str, sorted(os.sched_getaffinity(0)))))
  else:
    file.write_text('')
  while verb == 'hang' or (verb == 'save' and not told):
    time.sleep(0.01)
  while verb == 'meet' and not pathlib.Path(folder, words[0]).exists():
    time.sleep(0.01)
  if verb == 'save':
    time.sleep(0.3)  # a second signal would be seen
    file.write_text(f'saved after {len(told)}')
  return 0


if __name__ == '__main__':
  sys.exit(main(*sys.argv[1:]))
