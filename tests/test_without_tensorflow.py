"""Training from arrays needs neither TensorFlow nor TFDS."""

from tests import command


def test_it_trains_where_they_cannot_be_imported(tmp_path, digits_npz):
  broken = tmp_path / 'broken'
  broken.mkdir()
  for name in ('tensorflow', 'tensorflow_datasets', 'tensorboard'):
    (broken / f'{name}.py').write_text('raise ImportError("not here")')
  words = (*command.TINY, '--config.run.tensorboard=True')
  environment = {'PYTHONPATH': str(broken)}
  out = command.run_well(
    *words,
    f'--config.dataset.npz={digits_npz}',
    f'--workdir={tmp_path}/run',
    environment=environment,
  )
  # Asked for TensorBoard events, it says that there are none, and goes on.
  assert 'warning: no TensorBoard events: not here' in out
  assert 'test error' in out
  # The same command on a TFDS set says what to do.
  result = command.run(
    *words, f'--workdir={tmp_path}/other', environment=environment
  )
  assert result.returncode == 2
  assert 'Install requirements.txt' in result.stderr
  assert '--config.dataset.npz=FILE.npz' in result.stderr
