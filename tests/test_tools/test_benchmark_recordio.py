"""The benchmark reads the same images from both sides."""

import numpy as np
from mmpretrain.datasets import CustomDataset

from mmdense.recognition.datasets import RecordIODataset
from tests.test_tools.conftest import TOOLS


def test_both_sides_read_the_same(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(TOOLS / 'analysis_tools'))
    import benchmark_recordio as tool

    tool.write_images(tmp_path, 60, 32)
    files = CustomDataset(
        data_root=str(tmp_path / 'images'),
        pipeline=[dict(type='LoadImageFromFile')],
    )
    records = RecordIODataset(data_root=str(tmp_path))
    assert len(files) == len(records) == 60
    for one, other in zip(files, records, strict=True):
        assert np.array_equal(one['img'], other['img'])
        assert one['gt_label'] == other['gt_label']

    options = ['--images', '60', '--size', '32', '--repeats', '1']
    tool.main([*options, '--workers', '0', '--cold'])
    rows = capsys.readouterr().out.splitlines()
    for name in ('bytes', 'samples, 0 workers'):
        assert sum(name in row for row in rows) == 1
