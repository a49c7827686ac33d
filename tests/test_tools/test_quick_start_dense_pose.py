"""quick_start_dense_pose.sh as it stands, with fewer images and one epoch."""

import json
import re

import cv2
import numpy as np


def test_it_trains_and_draws(start, tools, tmp_path):
    script = (tools / 'quick_start_dense_pose.sh').read_text()
    # Which environment there is, is another matter.
    script, found = re.subn(r'(?m)^source .*environment\.sh"$', '', script)
    assert found == 1
    assert '--num-images 2000' in script
    script = script.replace('--num-images 2000', '--num-images 40')
    for name in ('tools', 'configs'):
        (tmp_path / name).symlink_to(tools.parent / name)
    done = start(
        [
            *('bash', '-euo', 'pipefail', '-c', script, 'quick_start'),
            '--cfg-options',
            'train_cfg.max_epochs=1',
            'train_cfg.val_interval=1',
        ],
        tmp_path,
        PORT='29541',
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    folder = tmp_path / 'work_dirs/quick_start_dense_pose'
    (log,) = folder.glob('*/vis_data/scalars.json')
    last = json.loads(log.read_text().splitlines()[-1])
    names = ('coco/bbox_mAP', 'densepose/gps_AP', 'densepose/gpsm_AP')
    assert all(0 <= last[name] <= 100 for name in names)
    (checkpoint,) = folder.glob('*.pth')
    assert checkpoint.name == 'epoch_1.pth'

    data = tmp_path / 'data/synthetic_bodies_192px/val'
    sheet = cv2.imread(str(folder / 'pictures.png'))
    row = 0
    files = sorted(data.iterdir())
    assert len(files) == 4
    for file in files:
        image = cv2.imread(str(file)).astype(int)
        height, width = image.shape[:2]
        # The first panel, down to its caption, is the image (as JPEG).
        panel = sheet[row : row + height // 2, :width]
        assert np.abs(panel - image[: height // 2]).mean() < 8
        row += height + 4
    # Six panels, five lines between.
    assert sheet.shape == (row, 6 * 192 + 20, 3)
