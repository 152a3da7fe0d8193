"""launch/kubernetes.yaml and launch/Dockerfile, as far as they can be read."""

import shutil
import subprocess

import pytest
import yaml

from tests import command

LAUNCH = command.ROOT / 'launch'
MANIFEST = LAUNCH / 'kubernetes.yaml'


@pytest.fixture(scope='module')
def parts():
  return {
    part['kind']: part for part in yaml.safe_load_all(MANIFEST.read_text())
  }


def test_the_hosts_of_the_job_find_each_other(parts):
  job, service = parts['Job'], parts['Service']
  pod = job['spec']['template']['spec']
  (container,) = pod['containers']
  flags = dict(word.lstrip('-').split('=', 1) for word in container['args'])
  hosts = job['spec']['completions']
  assert job['spec']['parallelism'] == hosts == int(flags['num_hosts'])
  assert job['spec']['completionMode'] == 'Indexed'
  name, subdomain = job['metadata']['name'], pod['subdomain']
  assert flags['coordinator'].startswith(f'{name}-0.{subdomain}:')
  assert service['metadata']['name'] == subdomain
  assert service['spec']['clusterIP'] == 'None'
  label = {'batch.kubernetes.io/job-name': name}
  assert service['spec']['selector'] == label
  index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
  (host,) = [e for e in container['env'] if f'$({e["name"]})' == flags['host']]
  assert host['valueFrom']['fieldRef']['fieldPath'] == index


def test_the_job_ends_by_what_the_user_must_mend_alone(parts):
  spec = parts['Job']['spec']
  actions = {
    code: rule['action']
    for rule in spec['podFailurePolicy']['rules']
    for code in rule.get('onExitCodes', {'values': []})['values']
  }
  assert actions == {2: 'FailJob', 143: 'Ignore'}
  pod = spec['template']['spec']
  assert pod['restartPolicy'] == 'Never'  # as a podFailurePolicy demands
  assert pod['terminationGracePeriodSeconds'] > 30  # Kubernetes' default


def test_what_runs_is_on_the_shared_volume(parts):
  pod = parts['Job']['spec']['template']['spec']
  (container,) = pod['containers']
  claims = {
    volume['name']: volume['persistentVolumeClaim']['claimName']
    for volume in pod['volumes']
    if 'persistentVolumeClaim' in volume
  }
  (mount,) = [m for m in container['volumeMounts'] if m['name'] in claims]
  claim = parts['PersistentVolumeClaim']
  assert claims[mount['name']] == claim['metadata']['name']
  assert claim['spec']['accessModes'] == ['ReadWriteMany']
  (workdir,) = [a for a in container['args'] if a.startswith('--workdir=')]
  assert workdir.startswith(f'--workdir={mount["mountPath"]}/')


def test_kubernetes_own_schema(parts):
  validate = pytest.importorskip('kubernetes_validate')
  for part in parts.values():
    validate.validate(part, '1.31', strict=True)


def test_hadolint():
  if not shutil.which('hadolint'):
    pytest.skip('there is no hadolint')
  subprocess.run(['hadolint', LAUNCH / 'Dockerfile'], check=True)


def test_the_image_is_made_of_what_installation_reads():
  """Files that setup.cfg and pip name are not kept from the builder."""
  ignore = (LAUNCH / 'Dockerfile.dockerignore').read_text().splitlines()
  kept = [line[1:] for line in ignore if line.startswith('!')]
  needed = ['setup.cfg', 'pyproject.toml', 'requirements.txt', 'README.md']
  needed += [
    'LICENSE',
    '.ci/constraints.txt',
    'resnet_jax',
    'configs',
    'launch',
  ]
  assert sorted(kept) == sorted(needed)
  assert all((command.ROOT / name).exists() for name in kept)
