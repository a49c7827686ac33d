"""The command lines that the shell scripts run."""

import os
import shutil
import subprocess

import pytest

# Writes each argument on a line of its own, so that spaces can be seen.
RECORDER = """#!/usr/bin/env bash
printf '%s\\n' "$PYTHONPATH" "$(basename "$0")" "$@" > "$RECORD"
"""
VARIABLES = (
    *('NNODES', 'NODE_RANK', 'MASTER_ADDR', 'PORT', 'PYTHONPATH'),
    *('GPUS', 'GPUS_PER_NODE', 'CPUS_PER_TASK', 'SRUN_ARGS'),
)


@pytest.fixture
def repository(tmp_path, tools):
    """A copy of the scripts in a folder with a space."""
    copy = tmp_path / 'a repository'
    shutil.copytree(tools, copy / 'tools')
    return copy


@pytest.fixture
def record(tmp_path, repository):
    """Run a script with stub programs; return what it would have run."""
    stubs = tmp_path / 'stubs'
    stubs.mkdir()
    for name in ('python', 'srun'):
        (stubs / name).write_text(RECORDER)
        (stubs / name).chmod(0o755)

    def run(script, *args, **environ):
        kept = {k: v for k, v in os.environ.items() if k not in VARIABLES}
        path = os.pathsep.join([str(stubs), os.environ['PATH']])
        output = tmp_path / 'argv'
        env = {**kept, 'PATH': path, 'RECORD': str(output), **environ}
        done = subprocess.run(
            ['bash', str(repository / 'tools' / script), *args],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
        )
        lines = output.read_text().splitlines() if output.exists() else None
        return done, lines

    return run


def test_dist_train(record, repository):
    done, lines = record(
        'dist_train.sh', 'my config.py', '4', '--work-dir', 'a b', '--amp'
    )
    assert done.returncode == 0
    assert lines == [
        str(repository),
        'python',
        '-m',
        'torch.distributed.run',
        '--nnodes=1',
        '--node_rank=0',
        '--master_addr=127.0.0.1',
        '--master_port=29500',
        '--nproc_per_node=4',
        str(repository / 'tools' / 'train.py'),
        'my config.py',
        '--launcher',
        'pytorch',
        '--work-dir',
        'a b',
        '--amp',
    ]


def test_dist_train_on_several_machines(record, repository):
    _, lines = record(
        *('dist_train.sh', 'c.py', '8'),
        NNODES='2',
        NODE_RANK='1',
        MASTER_ADDR='10.0.0.7',
        PORT='29600',
        PYTHONPATH='/parts',
    )
    assert lines[0] == f'{repository}:/parts'
    assert lines[4:9] == [
        '--nnodes=2',
        '--node_rank=1',
        '--master_addr=10.0.0.7',
        '--master_port=29600',
        '--nproc_per_node=8',
    ]


def test_dist_test(record, repository):
    _, lines = record('dist_test.sh', 'c.py', 'e p.pth', '2', '--out', 'o o')
    assert lines[8:] == [
        '--nproc_per_node=2',
        str(repository / 'tools' / 'test.py'),
        'c.py',
        'e p.pth',
        '--launcher',
        'pytorch',
        '--out',
        'o o',
    ]


def test_slurm_train(record, repository):
    _, lines = record(
        *('slurm_train.sh', 'part', 'job', 'c.py', 'w d', '--resume'),
        GPUS='16',
        CPUS_PER_TASK='3',
        SRUN_ARGS='--quotatype=spot --exclude=n1',
    )
    assert lines == [
        str(repository),
        'srun',
        '-p',
        'part',
        '--job-name=job',
        '--gres=gpu:8',
        '--ntasks=16',
        '--ntasks-per-node=8',
        '--cpus-per-task=3',
        '--kill-on-bad-exit=1',
        '--quotatype=spot',
        '--exclude=n1',
        'python',
        '-u',
        str(repository / 'tools' / 'train.py'),
        'c.py',
        '--work-dir=w d',
        '--launcher=slurm',
        '--resume',
    ]


def test_slurm_test(record, repository):
    _, lines = record(
        *('slurm_test.sh', 'part', 'job', 'c.py', 'e.pth'),
        GPUS='1',
        GPUS_PER_NODE='1',
    )
    assert lines[2:] == [
        '-p',
        'part',
        '--job-name=job',
        '--gres=gpu:1',
        '--ntasks=1',
        '--ntasks-per-node=1',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
        'python',
        '-u',
        str(repository / 'tools' / 'test.py'),
        'c.py',
        'e.pth',
        '--launcher=slurm',
    ]


@pytest.mark.parametrize(
    ('script', 'arguments'),
    [
        ('dist_train.sh', 'CONFIG GPUS [options of train.py]'),
        ('dist_test.sh', 'CONFIG CHECKPOINT GPUS [options of test.py]'),
        (
            'slurm_train.sh',
            'PARTITION JOB_NAME CONFIG WORK_DIR [options of train.py]',
        ),
        (
            'slurm_test.sh',
            'PARTITION JOB_NAME CONFIG CHECKPOINT [options of test.py]',
        ),
    ],
)
def test_too_few_arguments_print_the_usage(record, script, arguments):
    done, lines = record(script, 'c.py')
    assert done.returncode == 2
    assert lines is None
    assert done.stderr.splitlines()[0].endswith(f'{script} {arguments}')
