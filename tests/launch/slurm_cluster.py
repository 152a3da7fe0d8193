"""A SLURM cluster of two nodes on this machine, for the tests.

Each node is a slurmd in namespaces of its own, with its own hostname and
/etc/hosts. Partition `high` preempts `low`, whose jobs get SIGTERM first, and
`rude`, whose jobs are ended as by `scancel`. Nothing outside of the cluster's
folder is touched.
"""

import contextlib
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

_PROGRAMS = ('munged', 'slurmctld', 'slurmd', 'sbatch')
_PATH = '/usr/local/sbin:/usr/sbin:/sbin'
_HOSTS = """\
127.0.0.1 localhost
127.0.0.1 node0
127.0.0.1 node1
"""
# Arguments: the file of hosts and the hostname.
_ON_NODE = 'mount --bind "$1" /etc/hosts && hostname "$2" && exec slurmd -D'
_CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmctldDebug=info
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2
ReturnToService=2
KillWait=30
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=node0 NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 Gres=gpu:8
NodeName=node1 NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 Gres=gpu:8
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=60
PartitionName=rude Nodes=ALL PriorityTier=1
PartitionName=high Nodes=ALL PriorityTier=2
"""


def missing() -> str:
  """Why there can be no cluster here, or ''."""
  if os.geteuid():
    return 'slurmd starts jobs as root only'
  path = f'{os.environ["PATH"]}:{_PATH}'
  lacking = [p for p in _PROGRAMS if not shutil.which(p, path=path)]
  if lacking:
    return f'{", ".join(lacking)} not installed'
  unshare = subprocess.run(['unshare', '--mount', '--uts', 'true'])
  return 'no namespaces' if unshare.returncode else ''


class Cluster:
  """The cluster, while it runs.

  Attributes:
    folder: Its configuration and logs.
    environment: That of a user of it.
  """

  def __init__(self, folder: pathlib.Path) -> None:
    self.folder = folder
    path = f'{os.environ["PATH"]}:{_PATH}'
    self.environment = os.environ | {
      'SLURM_CONF': f'{folder}/slurm.conf',
      'PATH': path,
    }

  def call(self, *words: str) -> str:
    """The output of a command of SLURM."""
    return subprocess.run(
      words,
      env=self.environment,
      check=True,
      text=True,
      stdout=subprocess.PIPE,
      timeout=60,
    ).stdout

  def facts(self, job: str) -> dict[str, str]:
    """What SLURM says of a job."""
    line = self.call('scontrol', 'show', '--oneliner', 'job', job)
    return dict(word.partition('=')[::2] for word in line.split())

  def wait(self, job: str, *states: str, seconds: float = 300) -> str:
    """Waits until a job is in one of `states`, and returns which."""
    end = time.monotonic() + seconds
    while (state := self.facts(job)['JobState']) not in states:
      assert time.monotonic() < end, (state, self.log())
      time.sleep(0.5)
    return state

  def log(self) -> str:
    """What the controller wrote."""
    return (self.folder / 'slurmctld.log').read_text()


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[Cluster]:
  """Starts a cluster in `folder`, and ends it with all its jobs."""
  cluster = Cluster(folder)
  for name in ('state', 'munge'):
    (folder / name).mkdir(mode=0o700)
  with contextlib.ExitStack() as sockets:
    ports = [_free_port(sockets) for _ in range(3)]
  host = socket.gethostname().split('.')[0]
  config = _CONFIG.format(host=host, ports=ports, folder=folder)
  (folder / 'slurm.conf').write_text(config)
  for gpu in range(8):
    (folder / f'gpu{gpu}').touch()
  (folder / 'gres.conf').write_text(f'Name=gpu File={folder}/gpu[0-7]\n')
  key = folder / 'munge' / 'key'
  key.touch(mode=0o600)
  key.write_bytes(secrets.token_bytes(1024))
  munged = ['munged', '--foreground', '--force', f'--key-file={key}']
  munged += [f'--socket={folder}/munge.socket', f'--pid-file={folder}/pid']
  munged += [f'--seed-file={folder}/munge/seed', f'--log-file={folder}/log']
  daemons = {'munged': munged, 'slurmctld': ['slurmctld', '-D', '-c']}
  (folder / 'hosts').write_text(_HOSTS)
  for name in ('node0', 'node1'):
    words = ['sh', '-c', _ON_NODE, 'sh', f'{folder}/hosts', name]
    daemons[name] = ['unshare', '--mount', '--uts', *words]
  with contextlib.ExitStack() as stack:
    for name, words in daemons.items():
      stack.enter_context(_daemon(name, words, cluster))
      time.sleep(0.5)
    end = time.monotonic() + 60
    while cluster.call('sinfo', '-h', '-N', '-p', 'low', '-o', '%t') != (
      'idle\n' * 2
    ):
      assert time.monotonic() < end, cluster.log()
      time.sleep(0.5)
    try:
      yield cluster
    finally:
      cluster.call('scancel', '--user=root')
      end = time.monotonic() + 60
      while cluster.call('squeue', '-h') and time.monotonic() < end:
        time.sleep(0.5)


@contextlib.contextmanager
def _daemon(name: str, words: list[str], cluster: Cluster) -> Iterator[None]:
  program = shutil.which(words[0], path=cluster.environment['PATH'])
  with (cluster.folder / f'{name}.out').open('wb') as out:
    process = subprocess.Popen(
      [program, *words[1:]],
      env=cluster.environment,
      stdin=subprocess.DEVNULL,
      stdout=out,
      stderr=out,
    )
  try:
    yield
  finally:
    process.terminate()
    try:
      process.wait(20)
    except subprocess.TimeoutExpired:
      process.kill()
      process.wait()


def _free_port(stack: contextlib.ExitStack) -> int:
  listening = stack.enter_context(socket.socket())
  listening.bind(('127.0.0.1', 0))
  return listening.getsockname()[1]
