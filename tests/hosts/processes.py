"""Several hosts as real processes on the loopback."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

from tests import command


class Hosts:
  """The processes of one job, in a `with` block that leaves none alive.

  Args:
    words_of_hosts: The arguments of each host, of which one is enough.
    devices: Devices of each host.
    module: What they run.
    environment: Variables for all of them.
    largest_file: Bytes beyond which host 0 cannot write, as on a full disk.
  """

  def __init__(
    self,
    *words_of_hosts,
    devices=1,
    module='resnet_jax.main',
    environment=None,
    largest_file=None,
  ):
    with socket.create_server(('127.0.0.1', 0)) as probe:
      self.port = probe.getsockname()[1]
    count = len(words_of_hosts)
    job = [f'--coordinator=127.0.0.1:{self.port}', f'--num_hosts={count}']
    limit = []
    if largest_file is not None:  # ulimit counts blocks of 512 bytes
      script = f'ulimit -f {largest_file // 512}; exec "$@"'
      limit = ['sh', '-c', script, 'sh']
    variables = {
      'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices}',
      'JAX_DISABLE_MOST_OPTIMIZATIONS': '1',  # the nets are tiny
    }
    self.files = [tempfile.TemporaryFile('w+') for _ in range(count)]  # noqa: SIM115
    self.processes = [
      subprocess.Popen(
        [
          *([] if i else limit),
          *(sys.executable, '-m', module, *map(str, words)),
          *([*job, f'--host={i}'] if count > 1 else []),
        ],
        cwd=command.ROOT,
        env=os.environ | variables | (environment or {}),
        stdout=file,
        stderr=subprocess.STDOUT,
      )
      for i, (words, file) in enumerate(
        zip(words_of_hosts, self.files, strict=True)
      )
    ]

  def __enter__(self):
    return self

  def __exit__(self, *_):
    for process, file in zip(self.processes, self.files, strict=True):
      process.kill()
      process.wait()
      file.close()

  def output(self, host):
    """All that host `host` has printed by now, without gloo's own lines."""
    file = self.files[host]
    file.seek(0)
    lines = [line for line in file if not line.startswith('[Gloo]')]
    return ''.join(lines)

  def wait_for(self, text, host=0, seconds=240):
    """Returns once a host has printed `text`."""
    end = time.monotonic() + seconds
    while text not in self.output(host):
      assert self.processes[host].poll() is None, self.output(host)
      assert time.monotonic() < end, self.output(host)
      time.sleep(0.02)

  def send(self, number, *hosts):
    for host in hosts:
      self.processes[host].send_signal(number)

  def kill(self, host):
    self.send(signal.SIGKILL, host)

  def ended(self, seconds=240):
    """Exit codes and outputs, once all have ended; and after how long."""
    start = time.monotonic()
    for process in self.processes:
      process.wait(max(start + seconds - time.monotonic(), 0.1))
    codes = [process.returncode for process in self.processes]
    outputs = [self.output(host) for host in range(len(self.processes))]
    return codes, outputs, time.monotonic() - start
