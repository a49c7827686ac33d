"""Pages whose commands are run as they stand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.golden import FOLDER

ROOT = Path(__file__).parents[1]

# The page's experiment, made small enough for a test.
_SMALL = """
train_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
for loader in (val_dataloader, test_dataloader):
    loader.update(batch_size=30, num_workers=0, persistent_workers=False)
model['backbone'] = dict(depth=18)
model['head']['num_classes'] = 6
train_cfg = dict(max_epochs=1)
"""


def _blocks(page: str, language: str) -> list[str]:
    text = (ROOT / 'docs' / page).read_text()
    return re.findall(rf'^```{language}\n(.*?)^```', text, re.M | re.S)


def _lay_out(folder: Path) -> None:
    """Golden files where the page expects the real ones."""
    golden = FOLDER / 'partial_fc'
    faces = folder / 'data/ms1mv3'
    shutil.copytree(golden / 'recordio/insightface_scalar', faces)
    for name in ('lfw', 'cfp_fp', 'agedb_30'):
        shutil.copy(golden / 'verification/pairs.bin', faces / f'{name}.bin')
    ijbc = folder / 'data/IJBC'
    shutil.copytree(golden / 'ijb/meta', ijbc / 'meta')
    photos = [folder / 'photos' / name for name in ('a.jpg', 'b.jpg')]
    names = (ijbc / 'meta/ijbc_name_5pts_score.txt').read_text().splitlines()
    crops = [ijbc / 'loose_crop' / line.split()[0] for line in names]
    rng = np.random.default_rng(0)
    for path in photos + crops:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = rng.integers(256, size=(112, 112, 3), dtype=np.uint8)
        cv2.imwrite(str(path), image)
    (folder / 'tools').symlink_to(ROOT / 'tools')


@pytest.mark.slow
@pytest.mark.golden
def test_the_page_of_faces(tmp_path):
    if not (FOLDER / 'partial_fc/ijb/meta').is_dir():
        pytest.skip('no golden IJB')
    _lay_out(tmp_path)
    config, inference = _blocks('faces.md', 'python')
    (tmp_path / 'my_faces.py').write_text(config + _SMALL)
    commands = '\n'.join(_blocks('faces.md', 'shell'))
    # Two processes on the CPU, one epoch.
    for there, here in (
        ('GPUS=8', 'GPUS=2'),
        (' --amp', ''),
        ('epoch_20', 'epoch_1'),
    ):
        assert there in commands
        commands = commands.replace(there, here)
    environment = dict(
        os.environ,
        PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
        PYTHONPATH=str(ROOT),
        CUDA_VISIBLE_DEVICES='',
        OMP_NUM_THREADS='1',
        PORT='29517',
    )
    done = subprocess.run(
        ['bash', '-euxc', commands],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tmp_path / 'my_faces.onnx').is_file()
    features = np.load(tmp_path / 'photos.npy')
    assert features.shape == (2, 512)
    assert (tmp_path / 'work_dirs/my_faces/curves.png').is_file()

    done = subprocess.run(
        [sys.executable, '-c', inference.replace('epoch_20', 'epoch_1')],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # Unlike the file's, these embeddings are of the images alone.
    assert -1 <= float(done.stdout.split()[-1]) <= 1
