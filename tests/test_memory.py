"""A device out of memory is an error that the user can mend."""

import jax
import jax.numpy as jnp
import pytest

from resnet_jax import memory
from resnet_jax.errors import UserError
from resnet_jax.shell import shell


def test_more_than_any_machine_has():
  telling = r'bytes.*microbatches=2.*batch_size'
  with pytest.raises(UserError, match=telling), memory.told():
    jax.block_until_ready(jax.jit(lambda: jnp.ones(2**45))())


def test_a_command_ends_with_one_paragraph(capsys):
  with pytest.raises(SystemExit) as end, shell():
    raise jax.errors.JaxRuntimeError(
      'RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.\nBFC'
    )
  assert end.value.code == 2
  error = capsys.readouterr().err
  assert error.startswith('error: the memory does not suffice: RESOURCE_EXH')
  assert '9 bytes. Compute each batch in parts' in error


def test_other_errors_of_jax_stay():
  error = jax.errors.JaxRuntimeError('INTERNAL: something else')
  with pytest.raises(jax.errors.JaxRuntimeError), memory.told():
    raise error
