"""Trains and evaluates the paper's networks.

  python -m resnet_jax.main --config=configs/cifar_resnet56.py
  python -m resnet_jax.main --config=cifar_resnet56 --config.FIELD=VALUE ...
  python -m resnet_jax.main --mode=eval --workdir=DIR
  python -m resnet_jax.main --mode=eval --checkpoint=DIR/checkpoints/latest/N
  python -m resnet_jax.main --mode=mean_image --config=FILE ...

Where the package is installed, `resnet_jax --config=...` does the same. Fields
are listed, with their units, in configs/common.py. A run that was cut goes on
where it was when the same command is given again.
"""

import functools
import os
import pathlib
import re
from collections.abc import Callable, Sequence

from resnet_jax.malloc import keep_memory

if __name__ == '__main__':
  keep_memory()  # before imports that would be made twice
# TensorFlow reads this when it is imported, which is later and not always.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import jax
import ml_collections
from absl import app, flags
from ml_collections import config_flags

from resnet_jax import eval_only, mean_image, signals, train
from resnet_jax.config import checks, shipped
from resnet_jax.config.file import check_overrides, load_config, set_none
from resnet_jax.console import show_log, start_logging
from resnet_jax.errors import UserError
from resnet_jax.hosts import agreement, cluster, devices, join
from resnet_jax.paths import local_path
from resnet_jax.process import process_began
from resnet_jax.shell import shell

_CONFIG = config_flags.DEFINE_config_file(
  'config',
  None,
  'Config file, or the name of a shipped one, such as cifar_resnet56; its '
  'fields can be set with --config.FIELD=VALUE',
)
_MODE = flags.DEFINE_enum(
  'mode', 'train', ['train', 'eval', 'mean_image'], 'What to do'
)
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Folder of the run; default: runs/NAME-OF-THE-CONFIG'
)
_CHECKPOINT = flags.DEFINE_multi_string(
  'checkpoint',
  [],
  'With --mode=eval: evaluate this checkpoint or file of weights; given again, '
  'an ensemble, too',
)
_PER_CLASS = flags.DEFINE_string(
  'per_class', None, 'With --mode=eval: a CSV file for the results by class'
)
_RESULTS = flags.DEFINE_string(
  'results', None, 'With --mode=eval: a JSON file for the results'
)
_TRUST_DATA = flags.DEFINE_bool(
  'trust_data',
  False,
  'With --mode=eval: take the TFDS set and folder that a checkpoint names',
)
_TRACEBACK = flags.DEFINE_bool(
  'traceback', False, 'Show where in the source an error was found'
)
_CPU_DEVICES = flags.DEFINE_integer(
  'cpu_devices', 1, 'Without a GPU: devices to make of the CPU, up to its cores'
)
_COORDINATOR = flags.DEFINE_string(
  'coordinator', None, 'Several hosts: HOST:PORT of the first; see launch/'
)
_NUM_HOSTS = flags.DEFINE_integer('num_hosts', None, 'Several hosts: how many')
_HOST = flags.DEFINE_integer(
  'host', None, 'Several hosts: number of this one, from 0'
)
_CLUSTER = flags.DEFINE_enum(
  'cluster',
  'auto',
  ['auto', 'none'],
  'Whether the hosts that SLURM, Open MPI or Kubernetes started train together',
)


def main(argv: Sequence[str]) -> None:
  if len(argv) > 1:
    raise UserError(f'{argv[1]!r} is no flag; flags are --NAME=VALUE')
  if _CPU_DEVICES.value < 1:
    raise UserError(f'--cpu_devices={_CPU_DEVICES.value} must be at least 1')
  if _CPU_DEVICES.value > 1:  # where 1, XLA_FLAGS may say otherwise
    jax.config.update('jax_num_cpu_devices', _CPU_DEVICES.value)
  show_log()
  config, workdir = _CONFIG.value, _path(_WORKDIR)
  if config is not None:
    set_none(config)
    workdir = workdir or _default_workdir()
  act = _action(config, workdir)
  _join_hosts(config or shipped.common().get_config())
  act()
  # The first host writes the results. Launchers do not start a host again that
  # has ended well, and another that failed meanwhile would wait for it in vain.
  agreement.meet()


def parse_flags(argv: Sequence[str]) -> list[str]:
  """Parses the flags in `argv`, and returns what is left of it.

  Raises:
    UserError: an unknown flag or field, or a value of the wrong type.
  """
  argv = list(argv)
  files = [
    i for i, word in enumerate(argv) if re.match(r'--?config(=|$)', word)
  ]
  if files:
    _resolve_config(argv, files[-1])
  elif any(re.match(r'--?(no)?config\.', a) for a in argv):
    raise UserError('--config.FIELD=VALUE needs --config=FILE before it')
  try:
    return flags.FLAGS(argv)
  except (flags.Error, ValueError, TypeError) as e:
    raise UserError(f'{e}'.strip()) from e


def run(argv: list[str] | None = None) -> None:
  """The command line.

  Raises:
    SystemExit: with the exit code, see `shell`.
  """
  with shell(
    os_error_mend='Mend that, or name another --workdir; the same command '
    'goes on from the last checkpoint',
    show_traceback=lambda: flags.FLAGS.is_parsed() and _TRACEBACK.value,
  ):
    app.run(main, argv, flags_parser=parse_flags)


def _action(
  config: ml_collections.ConfigDict | None, workdir: pathlib.Path | None
) -> Callable[[], object]:
  """What --mode says to do.

  Raises:
    UserError: flags or fields that mean nothing, before hosts wait for others.
  """
  if _MODE.value == 'eval':
    return functools.partial(
      eval_only.evaluate_saved,
      config,
      workdir=workdir,
      paths=[local_path(path, '--checkpoint') for path in _CHECKPOINT.value],
      per_class=_path(_PER_CLASS),
      results_file=_path(_RESULTS),
      trust_data=_TRUST_DATA.value,
    )
  if config is None or workdir is None:
    raise UserError('say what to train: --config=configs/cifar_resnet20.py')
  if _CHECKPOINT.value or _PER_CLASS.value or _RESULTS.value:
    raise UserError(
      '--checkpoint, --per_class and --results go with --mode=eval'
    )
  checks.check(config)
  if _MODE.value == 'mean_image':
    return functools.partial(mean_image.compute, config)
  began = process_began()
  return functools.partial(train.train, config, workdir, began=began)


def _resolve_config(argv: list[str], index: int) -> None:
  """Puts the file that --config means in its place, and checks its fields."""
  flag, _, name = argv[index].partition('=')
  if not name and '=' not in argv[index]:  # --config FILE
    index, flag, name = index + 1, '', ''.join(argv[index + 1 : index + 2])
  if not name:
    raise UserError('--config=FILE needs a file, such as cifar_resnet56')
  file = str(shipped.find(name))
  argv[index] = f'{flag}={file}' if flag else file
  check_overrides(load_config(file), argv)


def _path(flag: flags.FlagHolder[str | None]) -> pathlib.Path | None:
  return local_path(flag.value, f'--{flag.name}') if flag.value else None


def _default_workdir() -> pathlib.Path:
  file = config_flags.get_config_filename(flags.FLAGS['config'])
  return pathlib.Path('runs', pathlib.Path(file).stem)


def _join_hosts(config: ml_collections.ConfigDict) -> None:
  """Makes one job of several hosts, and sees what devices it has."""
  checks.check_numbers(config)  # with --mode=eval nothing has checked it yet
  place = cluster.find(
    _COORDINATOR.value,
    _NUM_HOSTS.value,
    _HOST.value,
    detect=_CLUSTER.value == 'auto',
  )
  gpus = [len(devices.allotted())]
  if place is None:
    signals.release()
  else:
    wait, timeout = config.run.host_wait, config.run.host_timeout
    gpus = join.join(place, wait=wait, timeout=timeout)
  start_logging()
  devices.check(gpus)


if __name__ == '__main__':
  run()
