"""What training on many GPUs should reach, from the figures of one.

  model = Model(rate=7157, share=256, messages=(26.3e6, 30.2e6, 30.5e6, 15.5e6))
  Row = estimate(model, Cluster(), gpus=64)

Every GPU computes its share of the batch as one GPU alone does. Its gradients
travel in a few messages while the rest of the backward pass is computed, one
message after the other; what is left of them then is waited for. A message is
summed up within each host by a ring, then between hosts, each GPU with a part
of its own over a network card of its own, then spread within each host again.
Between hosts it takes a ring, or a tree where that is faster.

Left out: machines that are slower than others, a network that is shared, and
the waits between two steps. They make it an upper bound.
"""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Model:
  """What one GPU does.

  Attributes:
    rate: Images per second of one GPU alone.
    share: Images of a step on one GPU.
    messages: Bytes of each message between GPUs, in their order.
    overlap: Part of the step that is left when the first message leaves. The
      last one leaves at its end, and the others at equal distances.
  """

  rate: float
  share: int
  messages: tuple[float, ...]
  overlap: float = 0.33

  @property
  def step(self) -> float:
    """Seconds of a step of one GPU alone."""
    return self.share / self.rate


@dataclasses.dataclass(frozen=True)
class Cluster:
  """Hosts, and what joins them.

  Attributes:
    gpus: GPUs of a host.
    inside: Bytes per second of each GPU to the next one of its host.
    between: Bytes per second of each GPU's network card.
    hop_inside: Seconds from one GPU to the next of its host, without any bytes.
    hop_between: The same, from host to host.
    cores: Processor cores of a host.
    pictures: Pictures per second that a core decodes.
  """

  gpus: int = 8
  inside: float = 225e9
  between: float = 40e9
  hop_inside: float = 3e-6
  hop_between: float = 10e-6
  cores: int = 112
  pictures: float = 553


@dataclasses.dataclass(frozen=True)
class Row:
  """The estimate for a number of GPUs.

  Attributes:
    gpus, hosts: How many.
    batch: Images of a step, over all.
    messages: Seconds that the messages of a step take.
    waited: Seconds of them that no computation covers.
    step: Seconds of a step, as far as the GPUs go.
    rate: Images per second, input included.
    efficiency: Of so many times the rate of one GPU.
    cores: Cores that a host needs to decode its pictures at the GPUs' rate.
    by_input: Whether the input is slower than the GPUs.
  """

  gpus: int
  hosts: int
  batch: int
  messages: float
  waited: float
  step: float
  rate: float
  efficiency: float
  cores: float
  by_input: bool


def estimate(model: Model, cluster: Cluster, gpus: int) -> Row:
  """The estimate for `gpus` GPUs: those of one host, or of whole hosts.

  Raises:
    ValueError: hosts would not be whole.
  """
  inside = min(gpus, cluster.gpus)
  hosts, rest = divmod(gpus, inside)
  if rest:
    raise ValueError(f'{gpus} GPUs are not whole hosts of {cluster.gpus}')
  seconds = [all_reduce(b, cluster, inside, hosts) for b in model.messages]
  end = 0.0
  for number, took in enumerate(seconds, 1):
    before_end = (len(seconds) - number) / max(1, len(seconds) - 1)
    leaves = model.step * (1 - model.overlap * before_end)
    end = max(end, leaves) + took
  step = max(model.step, end)
  batch = gpus * model.share
  cores = batch / hosts / step / cluster.pictures
  by_input = bool(cluster.cores) and cores > cluster.cores
  rate = hosts * cluster.cores * cluster.pictures if by_input else batch / step
  return Row(
    gpus=gpus,
    hosts=hosts,
    batch=batch,
    messages=sum(seconds),
    waited=step - model.step,
    step=step,
    rate=rate,
    efficiency=rate / (gpus * model.rate),
    cores=cores,
    by_input=by_input,
  )


def all_reduce(size: float, cluster: Cluster, gpus: int, hosts: int) -> float:
  """Seconds in which all GPUs get the sum of `size` bytes of each.

  Args:
    size: Bytes of the message.
    cluster: What joins them.
    gpus: GPUs of each host that take part.
    hosts: How many hosts do.
  """
  return _ring(size, gpus, cluster.inside, cluster.hop_inside) + min(
    _ring(size / gpus, hosts, cluster.between, cluster.hop_between),
    _tree(size / gpus, hosts, cluster.between, cluster.hop_between),
  )


def _ring(size: float, members: int, rate: float, hop: float) -> float:
  """Each member hands on every part but one, once to add and once to spread."""
  return 2 * (members - 1) * (size / members / rate + hop)


def _tree(size: float, members: int, rate: float, hop: float) -> float:
  """Up and down a tree, in so many pieces that its levels work at once."""
  if members == 1:
    return 0.0
  return 2 * (size / rate + math.ceil(math.log2(members)) * hop)
