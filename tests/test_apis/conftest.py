"""A small network with a config, a checkpoint and images."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmdense.recognition.necks import EmbeddingNeck

MEAN, STD = (121.0, 110.0, 99.0), (60.0, 50.0, 40.0)

# The centers of so many classes would take 640 GB.
CONFIG = """
default_scope = 'mmpretrain'
data_preprocessor = dict(
    mean=[121.0, 110.0, 99.0], std=[60.0, 50.0, 40.0], to_rgb=TO_RGB)
model = dict(
    type='mmpretrain.ImageClassifier',
    backbone=dict(
        type='mmpretrain.ResNet', depth=18, stem_channels=8, base_channels=8),
    neck=dict(
        type='mmdense.EmbeddingNeck',
        in_channels=64, spatial_size=1, out_channels=16),
    head=dict(
        type='mmdense.PartialFCHead', num_classes=10**10, in_channels=16,
        loss=dict(type='mmdense.CosFaceLoss')))
test_dataloader = dict(dataset=dict(
    type='mmpretrain.CustomDataset', data_root='nowhere', pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='mmpretrain.CenterCrop', crop_size=32),
        dict(type='mmpretrain.PackInputs')]))
"""


class Network:
    """The files, and what they must give, computed by hand."""

    def __init__(self, folder: Path, to_rgb: bool) -> None:
        from mmpretrain.models import ResNet

        folder.mkdir()
        self.to_rgb = to_rgb
        self.config = str(folder / 'small.py')
        Path(self.config).write_text(CONFIG.replace('TO_RGB', str(to_rgb)))
        torch.manual_seed(0)
        parts = dict(
            backbone=ResNet(depth=18, stem_channels=8, base_channels=8),
            neck=EmbeddingNeck(64, 1, 16),
        )
        self.parts = torch.nn.ModuleDict(parts)
        # Statistics of images, else all images would look the same to it.
        for module in self.parts.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = 1.0
                torch.nn.init.normal_(module.bias, 0, 0.3)
        with torch.no_grad():
            self.parts.neck(self.parts.backbone(torch.randn(64, 3, 32, 32)))
        self.parts.eval()
        state = dict(self.parts.state_dict())
        state['head.loss_module.mean'] = torch.zeros(1)
        self.checkpoint = str(folder / 'small.pth')
        torch.save(dict(state_dict=state, meta={}), self.checkpoint)

    def pixels(self, path: Path) -> np.ndarray:
        """(32, 32, 3) in the network's order, of a 36 x 40 image."""
        image = cv2.imread(str(path))[2:34, 4:36]
        return image[:, :, ::-1] if self.to_rgb else image

    def embed(self, path: Path, mirror: bool = False) -> np.ndarray:
        """(16,): what must come out."""
        x = self.pixels(path).astype(np.float32)
        x = (x[:, ::-1] if mirror else x) - np.float32(MEAN)
        x = torch.from_numpy(x / np.float32(STD)).permute(2, 0, 1)[None]
        with torch.no_grad():
            y = self.parts.neck(self.parts.backbone(x))[-1]
        return y[0].numpy()


@pytest.fixture(scope='session')
def networks(tmp_path_factory):
    """`networks(to_rgb)`, made once."""
    folder = tmp_path_factory.mktemp('networks')
    made = {}

    def get(to_rgb=True):
        if to_rgb not in made:
            made[to_rgb] = Network(folder / str(to_rgb), to_rgb)
        return made[to_rgb]

    return get


@pytest.fixture(scope='session')
def network(networks):
    """A network for RGB images."""
    return networks()


@pytest.fixture(scope='session')
def photos(tmp_path_factory):
    """A folder of 11 images, 36 x 40, in folders of folders."""
    root = tmp_path_factory.mktemp('photos')
    rng = np.random.default_rng(0)
    for i in range(11):
        folder = root / f'set{i % 2}' / f'person {i // 3}'
        folder.mkdir(parents=True, exist_ok=True)
        ending = 'png' if i % 4 else 'BMP'
        low = rng.integers(0, 256, (5, 5, 3)).astype(np.uint8)
        image = cv2.resize(low, (40, 36), interpolation=cv2.INTER_CUBIC)
        path = folder / f'{i:02}.{ending}'
        path.write_bytes(cv2.imencode('.' + ending.lower(), image)[1])
        (folder / 'notes.txt').write_text('no image')
    return root


@pytest.fixture(scope='session')
def names(photos):
    """Their names, relative and sorted."""
    paths = [p for p in photos.rglob('*') if p.suffix in ('.png', '.BMP')]
    return sorted(p.relative_to(photos).as_posix() for p in paths)
