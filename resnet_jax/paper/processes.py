"""Our commands as processes, each with a thread that waits for it."""

import contextlib
import logging
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from resnet_jax.console import console
from resnet_jax.errors import Interrupted, UserError

_log = logging.getLogger('resnet_jax')


class Processes:
  """Runs our commands, several at a time, and stops them on a signal.

  The first SIGTERM, SIGINT or SIGHUP (a closed terminal) is passed on to each
  process as one SIGTERM, on which training saves; nothing starts after it. A
  second SIGTERM or SIGINT kills.

  Args:
    parallel: Number of tasks at a time. Each has a core of its own where there
      are as many cores as tasks.
    cache: Folder for what XLA compiles.
  """

  def __init__(self, parallel: int, cache: pathlib.Path) -> None:
    self._parallel = parallel
    self._environment = dict(os.environ)
    # The seeds of a network share what is compiled for it.
    self._environment.setdefault(
      'JAX_COMPILATION_CACHE_DIR', str(cache.absolute())
    )
    # Several runs share a GPU only if none takes all of its memory.
    self._environment.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
    self._running: set[subprocess.Popen[bytes]] = set()
    self._stopped_by = 0
    # A handler may interrupt the main thread while that holds the lock.
    self._lock = threading.RLock()
    # Tasks that have ended, and the signal that stops them.
    self._events: queue.SimpleQueue[Future[None] | int] = queue.SimpleQueue()

  def __enter__(self) -> 'Processes':
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup sets it
      numbers.append(signal.SIGHUP)
    self._old = {n: signal.signal(n, self._on_signal) for n in numbers}
    return self

  def __exit__(self, *_: object) -> None:
    for number, handler in self._old.items():
      signal.signal(number, handler)

  def do(
    self,
    tasks: Mapping[str, Callable[[], None]],
    progress: Callable[[], str] | None = None,
  ) -> dict[str, str]:
    """Calls all tasks in threads; a task calls `run` for its processes.

    Args:
      tasks: Functions by the names that they have in messages.
      progress: Gives a line about all tasks, which is shown at intervals.

    Returns:
      The error messages of the tasks that failed, by name.

    Raises:
      Interrupted: after a signal, when all processes have stopped.
    """
    cores = available_cores()
    if self._parallel == 1 or self._parallel != len(cores):
      cores = []
    with ThreadPoolExecutor(
      self._parallel, initializer=_pin, initargs=(cores,)
    ) as pool:
      try:
        left = {
          pool.submit(self._call, task): name for name, task in tasks.items()
        }
        failures = self._wait(left, progress)
      except BaseException:  # the processes are in sessions of their own
        self._stop(signal.SIGTERM)
        raise
    self._check()
    return failures

  def run(
    self,
    command: Sequence[str],
    log_file: pathlib.Path,
    *,
    output: pathlib.Path | None = None,
    inherited: Sequence[int] = (),
  ) -> None:
    """Runs a command to its end.

    Args:
      command: A module of ours and its arguments.
      log_file: What the command prints is appended here.
      output: A file that the command makes.
      inherited: Descriptors that it holds open for as long as it lives.

    Raises:
      UserError: it failed; the message is the error that it printed.
      Interrupted: a signal stopped it, or came before it.
    """
    with log_file.open('ab') as log:
      start = log.tell()
      with self._lock:
        self._check()
        process = subprocess.Popen(
          [sys.executable, '-m', *command],
          stdin=subprocess.DEVNULL,
          stdout=log,
          stderr=subprocess.STDOUT,
          env=self._environment,
          # The terminal's ^C does not reach it: it is passed on, and once.
          start_new_session=True,
          pass_fds=inherited,
        )
        self._running.add(process)
    code = process.wait()
    with self._lock:
      self._running.remove(process)
      self._check()
    if code or (output and not output.exists()):
      raise UserError(_last_words(log_file, code, start))

  def _wait(
    self, left: dict[Future[None], str], progress: Callable[[], str] | None
  ) -> dict[str, str]:
    """Logs the tasks as they end, until all have; returns the failures."""
    failures = {}
    for future in left:
      future.add_done_callback(self._events.put)
    while left:
      try:
        event = self._events.get(timeout=console.interval)
      except queue.Empty:
        if progress:
          console.progress(progress())
        continue
      if isinstance(event, int):
        _log.warning('stopping; %d are saving ...', len(self._running))
        continue
      name, error = left.pop(event), event.exception()
      if isinstance(error, UserError | OSError):
        failures[name] = str(error)
        _log.warning('%s failed: %s', name, error)
      elif error is None:
        words = f'; {progress()}' if progress else ''
        _log.info('%s is done%s', name, words)
      elif not isinstance(error, Interrupted):
        raise error
    return failures

  def _call(self, task: Callable[[], None]) -> None:
    self._check()  # a signal may have come while the task was in the queue
    task()

  def _check(self) -> None:
    if self._stopped_by:
      name = signal.Signals(self._stopped_by).name
      raise Interrupted(
        f'stopped by {name}; the same command goes on from here',
        self._stopped_by,
      )

  def _stop(self, number: int) -> None:
    """Tells each process once to save and stop; nothing starts any more."""
    with self._lock:
      if not self._stopped_by:
        self._stopped_by = number
        for process in self._running:
          process.terminate()

  def _on_signal(self, number: int, _: object) -> None:
    if not self._stopped_by:
      self._stop(number)
      self._events.put(number)
    elif number != signal.SIGHUP:  # the shell and the kernel both send it
      with self._lock:
        for process in self._running:
          process.kill()


@contextlib.contextmanager
def locked(folder: pathlib.Path) -> Iterator[int]:
  """Keeps other processes out of a folder.

  Yields:
    The descriptor of a lock; a process that inherits it keeps the lock, even
    if this one dies.

  Raises:
    UserError: another process has the folder.
    OSError: the file system has no locks.
  """
  import fcntl  # not on Windows, where training is not supported either

  with (folder / '.lock').open('w') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
      raise UserError(
        f'{folder} is being trained by another process; wait for it, or stop it'
      ) from e
    yield file.fileno()


def available_cores() -> list[int]:
  """The cores that this process may use."""
  if hasattr(os, 'sched_getaffinity'):  # not on a Mac
    return list(os.sched_getaffinity(0))
  return list(range(os.cpu_count() or 1))


def _pin(cores: list[int]) -> None:
  """Gives this thread, and the processes that it starts, one of the cores."""
  if cores and hasattr(os, 'sched_setaffinity'):
    os.sched_setaffinity(0, {cores.pop()})


def _last_words(log: pathlib.Path, code: int, start: int) -> str:
  """The error in `log` from byte `start` on, of a process that failed."""
  text = log.read_bytes()[start:].decode(errors='replace')
  lines = text.strip().splitlines()
  errors = [line for line in lines if line.startswith('error: ')]
  if errors:
    return errors[-1].removeprefix('error: ')
  if code < 0:
    return f'killed by {signal.Signals(-code).name}; see {log}'
  return f'exit code {code}: {lines[-1] if lines else "no output"}; see {log}'
