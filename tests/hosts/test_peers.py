"""The board and its hosts, over real sockets: who comes, goes, and stops."""

import contextlib
import os
import queue
import random
import signal
import socket
import threading
import time

import pytest

from resnet_jax.errors import Interrupted, UserError
from resnet_jax.hosts import board, join
from resnet_jax.hosts.board import Board
from resnet_jax.hosts.cluster import Place
from resnet_jax.hosts.lines import Lines
from resnet_jax.hosts.peers import Peers
from resnet_jax.hosts.waiting import Waiting


class Job:
  """A board in a thread, and hosts that are connected to it."""

  def __init__(self, count, timeout=30.0, parent=None):
    self.count, self.parent = count, parent
    server = socket.create_server(('127.0.0.1', 0))
    self.port = server.getsockname()[1]
    self.board = threading.Thread(target=self._serve, args=(server, timeout))
    self.board.start()
    self.ends = [queue.SimpleQueue() for _ in range(count)]
    self.lines = {}

  def _serve(self, server, timeout):
    with server:
      parent = self.parent
      Board(server, self.count, timeout=timeout, parent=parent).serve()

  def greet(self, host, count=None, wait=20.0, age=1e6):
    place = Place('127.0.0.1', self.port, count or self.count, host)
    hello = {'host': host, 'count': place.count, 'name': f'node{host}'}
    hello |= {'pid': os.getpid(), 'gpus': [], 'age': age}
    deadline = time.monotonic() + wait
    say = Waiting(place, wait)
    lines, begin, _ = join._greet(place, hello, deadline, say)
    self.lines[host] = lines
    return begin

  def gather(self):
    threads = [
      threading.Thread(target=self.greet, args=(host,))
      for host in range(self.count)
    ]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    return [self.listen(host) for host in range(self.count)]

  def listen(self, host, heard=()):
    return Peers(
      self.lines[host],
      host,
      [f'node{i}' for i in range(self.count)],
      timeout=30,
      end=lambda *words: self.ends[host].put(words),
      heard=heard,
    )

  def leave(self, host):
    """What the system does for a process that is killed."""
    self.lines[host]._connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def job():
  jobs = []

  def make(*args, **kwargs):
    jobs.append(Job(*args, **kwargs))
    return jobs[-1]

  yield make
  for one in jobs:
    for host in list(one.lines):
      with contextlib.suppress(OSError):
        one.leave(host)
    one.board.join(10)
    assert not one.board.is_alive()
    for lines in one.lines.values():
      lines.close()


def test_a_host_that_is_killed_is_missed(job):
  three = job(3)
  three.gather()
  three.leave(1)
  for host in (0, 2):
    text, code = three.ends[host].get(timeout=10)
    assert text.startswith('host 1 of 3 (node1) has gone without a word')
    assert code == 75


def test_a_host_that_is_silent_is_lost(job):
  """Nothing comes from it, as from one that is cut off from the network."""
  two = job(2, timeout=3)
  silent = threading.Thread(target=two.greet, args=(1,))
  silent.start()
  begin = two.greet(0)
  silent.join()
  assert [host['name'] for host in begin['hosts']] == ['node0', 'node1']
  two.listen(0)
  text, code = two.ends[0].get(timeout=10)
  assert 'has gone without a sign of life for 3 seconds' in text
  assert code == 75


def test_a_board_that_is_silent_is_lost():
  """The machine of host 0 is cut off."""
  ends = queue.SimpleQueue()
  with (
    socket.create_server(('127.0.0.1', 0)) as server,
    socket.create_connection(server.getsockname()) as ours,
  ):
    Peers(
      Lines(ours), 1, ['a', 'b'], timeout=2, end=lambda *words: ends.put(words)
    )
    text, code = ends.get(timeout=10)
  assert 'with host 0 (a) gives no answer for 2 seconds' in text
  assert code == 75


def test_hosts_that_are_lost_at_once():
  """To tell of the first finds the others."""
  with socket.create_server(('127.0.0.1', 0)) as server:
    board = Board(server, 3, timeout=3)
    for host in range(3):
      with socket.create_connection(server.getsockname()) as gone:
        board._hosts[host], board._heard[host] = Lines(gone), 0.0
    board._look_for_lost(time.monotonic() + 10)
    board._selector.close()
  assert not board._hosts


def test_what_came_with_the_beginning_is_heard(job):
  two = job(2)
  other = threading.Thread(target=two.greet, args=(1,))
  other.start()
  two.greet(0)
  other.join()
  two.listen(0, heard=[{'from': 1, 'end': 143, 'signal': 15}])
  assert two.ends[0].get(timeout=10)[1] == 143


@pytest.mark.parametrize(
  ('code', 'text', 'told', 'exit_code'),
  [
    (2, 'the disk is full', 'host 1 of 2 (node1): the disk is full', 2),
    (2, 'host 0 of 2 would train', 'host 0 of 2 would train', 2),
    (1, 'ValueError: x', 'host 1 of 2 (node1) crashed: ValueError: x. S', 75),
  ],
)
def test_an_error_of_one_host_ends_the_other(job, code, text, told, exit_code):
  two = job(2)
  two.gather()[1].tell(code, text)
  two.leave(1)
  words, number = two.ends[0].get(timeout=10)
  assert words.startswith(told) and number == exit_code


def test_a_signal_outside_of_the_loop_ends_all(job):
  two = job(2)
  two.gather()[1].tell_signal(signal.SIGTERM)
  assert two.ends[0].get(timeout=10) == (
    'interrupted by SIGTERM on host 1 of 2',
    143,
  )


@pytest.mark.parametrize('when', ['before the other', 'after the other'])
def test_a_signal_before_all_have_come_ends_all(job, when, monkeypatch):
  two = job(2)
  first, last = (0, 1) if when == 'after the other' else (1, 0)
  raised = {}

  def greet(host):
    try:
      two.greet(host)
    except (Interrupted, SystemExit) as e:
      raised[host] = str(e)

  def end():
    raise SystemExit('told')

  monkeypatch.setattr(join.signals, 'release', end)
  marked = threading.local()  # the signal is to host 1 alone
  monkeypatch.setattr(join.signals, 'noted', lambda: getattr(marked, 'n', 0))

  def greet_marked(host):
    marked.n = signal.SIGTERM if host == 1 else 0
    greet(host)

  threads = []
  for host in (first, last):
    threads.append(threading.Thread(target=greet_marked, args=(host,)))
    threads[-1].start()
    time.sleep(0.3)
  for thread in threads:
    thread.join(10)
  assert raised == {0: 'interrupted by SIGTERM on host 1 of 2', 1: 'told'}


def test_a_host_that_is_done_is_not_missed(job):
  two = job(2)
  one, other = two.gather()
  other.tell(0)
  two.leave(1)
  one.tell(0)
  with pytest.raises(queue.Empty):
    two.ends[0].get(timeout=1)


def test_one_number_for_two_hosts(job):
  two = job(2)
  waiting = threading.Thread(target=two.greet, args=(0,))
  waiting.start()
  time.sleep(0.2)
  with pytest.raises(join._NotYetError, match='--host=0 was given twice: proc'):
    two.greet(0)
  two.greet(1)
  waiting.join()


def test_another_number_of_hosts_ends_all(job):
  two = job(2)
  refused = []

  def greet():
    with pytest.raises(UserError) as end:
      two.greet(0)
    refused.append(str(end.value))

  waiting = threading.Thread(target=greet)
  waiting.start()
  time.sleep(0.2)
  with pytest.raises(UserError, match=r'--num_hosts=3, and host 0 with .*=2'):
    two.greet(1, count=3)
  waiting.join(10)
  assert 'started with --num_hosts=3' in refused[0]


def test_a_job_that_has_begun_may_be_about_to_end(job):
  """One host was killed and is back, before the others have noticed."""
  two = job(2)
  two.gather()
  with pytest.raises(join._NotYetError, match='--host=1 was given twice'):
    two.greet(1)
  place = Place('127.0.0.1', two.port, 2, 1)
  start = time.monotonic()
  with pytest.raises(UserError, match='given twice'):
    join._gather(
      place, start + 60, Waiting(place, 60), board=None, patience=1.0
    )
  assert 1 < time.monotonic() - start < 10
  two.leave(1)
  assert two.ends[0].get(timeout=10)[1] == 75
  with pytest.raises(join._NotYetError, match='has begun without this process'):
    two.greet(1)


def test_a_signal_to_a_job_that_is_started_again(job):
  """Those of the next start are not told to end, and find the port free."""
  two = job(2)
  connection = socket.create_connection(('127.0.0.1', two.port))
  with contextlib.closing(Lines(connection)) as first:
    hello = {'host': 0, 'count': 2, 'name': 'a', 'pid': 1, 'gpus': [], 'age': 9}
    first.send({'hello': hello})
    assert first.receive() == [{'missing': [1]}]
    first.send({'end': 130, 'signal': 2})
  time.sleep(0.3)
  with pytest.raises(OSError, match='closed'):
    two.greet(1, age=0.1)  # it was created after the signal
  two.board.join(5)
  assert not two.board.is_alive()


def test_the_signal_of_a_host_that_is_gone_is_told():
  """It ended before its board had begun to serve."""
  with socket.create_server(('127.0.0.1', 0)) as server:
    hello = {'count': 2, 'name': 'a', 'pid': 1, 'gpus': [], 'age': 9}
    with socket.create_connection(server.getsockname()) as first:
      Lines(first).send(
        {'hello': hello | {'host': 0}, 'end': 143, 'signal': 15}
      )
    serving = threading.Thread(
      target=Board(server, 2, timeout=5, parent=1).serve
    )
    serving.start()
    with socket.create_connection(server.getsockname()) as second:
      lines = Lines(second)
      lines.send({'hello': hello | {'host': 1}})
      assert lines.receive()[0]['signal'] == 15
    serving.join(10)
    assert not serving.is_alive()


def test_a_board_ends_with_its_parent(job):
  orphan, child = job(2, parent=1), job(2, parent=os.getppid())
  orphan.board.join(5)
  assert not orphan.board.is_alive()
  child.gather()


@pytest.mark.parametrize(
  'words',
  [
    b'[' * 2000 + b'\n',
    b'{"hello": {"host": 1e999, "count": 2}}\n',
    b'{"hello": 3}\n',
    b'\xff\xfe\n',
    b'{' * 70_000,
  ],
)
def test_strangers_harm_nobody(job, words):
  two = job(2)
  for _ in range(3):
    with socket.create_connection(('127.0.0.1', two.port)) as stranger:
      stranger.sendall(words)
      with contextlib.suppress(ConnectionResetError):
        assert stranger.recv(100) == b''
  two.gather()


def test_many_strangers_are_not_kept(job, monkeypatch):
  monkeypatch.setattr(board, '_STRANGERS', 5)
  two = job(2)
  with contextlib.ExitStack() as stack:
    silent = [
      stack.enter_context(socket.create_connection(('127.0.0.1', two.port)))
      for _ in range(20)
    ]
    two.gather()
    silent[0].settimeout(5)
    assert silent[0].recv(100) == b''


def test_a_process_that_was_stopped_misses_nobody(job, monkeypatch):
  """All of them were, as in a container that is paused."""
  clock = [time.monotonic]
  monkeypatch.setattr(board.time, 'monotonic', lambda: clock[0]())
  two = job(2, timeout=10)
  two.gather()
  real = clock[0]
  clock[0] = lambda: real() + 100
  with pytest.raises(queue.Empty):
    two.ends[0].get(timeout=2.5)
  clock[0] = real


def test_a_host_that_comes_again_and_a_stranger(job):
  three = job(3)
  waiting = threading.Thread(target=three.greet, args=(0,))
  waiting.start()
  with socket.create_connection(('127.0.0.1', three.port)) as stranger:
    stranger.sendall(b'GET / HTTP/1.1\r\n\r\n')
    assert stranger.recv(100) == b''
  with socket.create_connection(('127.0.0.1', three.port)) as early:
    hello = {
      'host': 1,
      'count': 3,
      'name': 'old',
      'pid': 1,
      'gpus': [],
      'age': 9,
    }
    Lines(early).send({'hello': hello})
    assert b'missing' in early.recv(100)
  again = threading.Thread(target=three.greet, args=(1,))
  time.sleep(0.2)  # its end is known
  again.start()
  begin = three.greet(2)
  again.join()
  waiting.join()
  assert [host['name'] for host in begin['hosts']] == [
    'node0',
    'node1',
    'node2',
  ]


@pytest.mark.parametrize('seed', range(5))
def test_all_hosts_stop_at_one_step(job, seed):
  """Hosts at their own pace, none more than a few steps ahead of another."""
  rng = random.Random(seed)
  count, ahead, steps = 3, 4, 60
  three = job(count)
  peers = three.gather()
  # A step is done once every host has begun it.
  begun = [0] * count
  moved = threading.Condition()
  stops = {}
  signals = {rng.randrange(count): rng.randrange(steps)}
  if seed % 2:
    signals[rng.randrange(count)] = rng.randrange(steps)

  def run(host):
    for done in range(1, steps + 1):
      with moved:
        begun[host] += 1
        moved.notify_all()
        assert moved.wait_for(lambda: min(begun) > begun[host] - ahead, 20)
      time.sleep(rng.random() * 0.002)
      number = signal.SIGTERM if signals.get(host, steps) < done else 0
      stop, last = peers[host].last_step(
        done, number, bound=min(done + 1, steps)
      )
      if stop and done >= last:
        stops[host] = done
        return

  threads = [threading.Thread(target=run, args=(h,)) for h in range(count)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(30)
  assert len(stops) == count, (stops, begun)
  assert len(set(stops.values())) == 1
  assert stops[0] >= min(signals.values())
  assert stops[0] <= min(signals.values()) + ahead + 2 or stops[0] == steps
