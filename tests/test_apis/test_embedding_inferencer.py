"""Embeddings of files and arrays, against the network run by hand."""

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmpretrain import FeatureExtractor
from mmpretrain.datasets.transforms import PackInputs
from mmpretrain.models import ResNet

from mmdense.apis import EmbeddingInferencer
from mmdense.apis.embedding_model import as_config, build_embedding_model
from mmdense.apis.image_pipeline import ImagePipeline


@pytest.fixture(scope='module')
def embed(network):
    return EmbeddingInferencer(network.config, network.checkpoint, 'cpu')


@pytest.mark.parametrize('to_rgb', [True, False])
def test_files_and_arrays(networks, photos, names, to_rgb):
    network = networks(to_rgb)
    embed = EmbeddingInferencer(network.config, network.checkpoint, 'cpu')
    paths = [photos / name for name in names]
    expected = np.stack([network.embed(path) for path in paths])
    mixed = [cv2.imread(str(p)) if i % 2 else p for i, p in enumerate(paths)]
    found = embed(mixed, batch_size=4)
    assert found.shape == (11, 16)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # The two orders do differ.
    other = networks(not to_rgb).embed(paths[0])
    assert abs(other - expected[0]).max() > 1e-2
    # One image need not be in a list.
    np.testing.assert_allclose(embed(str(paths[0])), found[:1], atol=1e-5)


def test_as_mmpretrain_extracts_features(network, embed, photos, names):
    cfg = Config.fromfile(network.config)
    cfg.model.head.num_classes = 10
    extractor = FeatureExtractor(cfg, network.checkpoint, 'cpu')
    paths = [str(photos / name) for name in names[:3]]
    expected = torch.stack([feats[-1] for feats in extractor(paths)])
    np.testing.assert_allclose(embed(paths), expected, rtol=1e-4, atol=1e-5)


def test_flip_and_normalize(network, embed, photos, names):
    paths = [photos / name for name in names[:2]]
    both = [network.embed(p) + network.embed(p, mirror=True) for p in paths]
    np.testing.assert_allclose(
        embed(paths, flip=True), both, rtol=1e-4, atol=1e-5
    )
    unit = both / np.linalg.norm(both, axis=1, keepdims=True)
    found = embed(paths, flip=True, normalize=True)
    np.testing.assert_allclose(found, unit, atol=1e-5)
    cosine = embed.compare(*paths, flip=True)
    assert cosine == pytest.approx(float(unit[0] @ unit[1]), abs=1e-5)
    assert embed.compare(paths[0], paths[0]) == pytest.approx(1)


def test_mixed_precision_is_near(network, embed, photos, names):
    rough = EmbeddingInferencer(
        network.config, network.checkpoint, 'cpu', amp=True
    )
    path = photos / names[0]
    x, y = embed(path)[0], rough(path)[0]
    assert y.dtype == np.float32
    assert 0 < abs(x - y).max() < 0.1 * abs(x).max()


def test_grey_arrays_are_as_grey_files(embed, photos, tmp_path):
    grey = cv2.imread(str(next(photos.rglob('*.png'))), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(tmp_path / 'grey.png'), grey)
    expected = embed(tmp_path / 'grey.png')
    np.testing.assert_array_equal(embed(grey), expected)


def test_a_network_for_grey_values(network, photos, names, tmp_path):
    cfg = as_config(network.config)
    cfg.test_dataloader.dataset.pipeline[0].color_type = 'grayscale'
    cfg.model.backbone.in_channels = 1
    cfg.data_preprocessor.update(mean=[100.0], std=[50.0])
    backbone = ResNet(18, in_channels=1, stem_channels=8, base_channels=8)
    parts = torch.nn.ModuleDict(
        dict(backbone=backbone, neck=network.parts['neck'])
    ).eval()
    torch.save(parts.state_dict(), tmp_path / 'grey.pth')
    embed = EmbeddingInferencer(cfg, tmp_path / 'grey.pth', 'cpu')
    path = photos / names[0]
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    x = torch.from_numpy((grey[2:34, 4:36].astype(np.float32) - 100) / 50)
    with torch.no_grad():
        expected = parts.neck(backbone(x[None, None]))[-1]
    for image in (path, grey):
        np.testing.assert_allclose(
            embed(image), expected, rtol=1e-4, atol=1e-5
        )


def test_a_pipeline_of_classes(photos, names):
    # As configs in the pure-Python style have it.
    pipeline = [
        dict(type=LoadImageFromFile, color_type='grayscale'),
        dict(type=PackInputs),
    ]
    dataset = dict(type='mmpretrain.CustomDataset', pipeline=pipeline)
    cfg = Config(
        dict(default_scope='mmpretrain', test_dataloader=dict(dataset=dataset))
    )
    path = str(photos / names[0])
    grey = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    prepare = ImagePipeline(cfg)
    for image in (path, grey):
        np.testing.assert_array_equal(prepare(image), grey[None])


def test_a_retriever(network, embed, photos, names, tmp_path):
    cfg = as_config(network.config)
    model = cfg.model
    cfg.model = dict(
        type='mmpretrain.ImageToImageRetriever',
        image_encoder=[model.backbone, model.neck],
        prototype='unused.pt',
        head=model.head,
    )
    state = torch.load(network.checkpoint, weights_only=True)['state_dict']
    path = tmp_path / 'retriever.pth'
    parts = {'backbone': 'image_encoder.0', 'neck': 'image_encoder.1'}
    renamed = {}
    for key, value in state.items():
        part, _, rest = key.partition('.')
        if part in parts:
            renamed[f'{parts[part]}.{rest}'] = value
    torch.save(renamed, path)
    image = photos / names[0]
    found = EmbeddingInferencer(cfg, path, 'cpu')(image)
    np.testing.assert_array_equal(found, embed(image))


def test_what_images_must_be(embed, photos, names, tmp_path):
    (tmp_path / 'bad.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'bad\.png'):
        embed([photos / names[0], tmp_path / 'bad.png'])
    with pytest.raises(ValueError, match=r'missing\.png'):
        embed(tmp_path / 'missing.png')
    with pytest.raises(TypeError, match='uint8 array, got ndarray of float64'):
        embed(np.zeros((32, 32, 3)))
    with pytest.raises(ValueError, match=r'\(3, 32, 32\), expected \(h, w, 3'):
        embed(np.zeros((3, 32, 32), np.uint8))
    with pytest.raises(ValueError, match='got 0 images'):
        embed([])
    small = np.zeros((20, 36, 3), np.uint8)
    with pytest.raises(ValueError, match=r'images\[1\] is .*\(3, 20, 32\)'):
        embed([np.zeros((40, 40, 3), np.uint8), small])


def test_what_checkpoints_must_be(network, tmp_path):
    cfg = as_config(network.config)
    state = torch.load(network.checkpoint, weights_only=True)['state_dict']
    path = tmp_path / 'other.pth'
    with pytest.raises(FileNotFoundError, match=r'other\.pth does not exist'):
        build_embedding_model(cfg, path)
    weight = state.pop('neck.fc.weight')
    torch.save(state, path)
    with pytest.raises(ValueError, match=r'lacks 1 tensors, neck.fc.weight'):
        build_embedding_model(cfg, path)
    torch.save({**state, 'neck.fc.weight': weight, 'neck.x': weight}, path)
    with pytest.raises(ValueError, match=r'beside .* 1 tensors, neck\.x'):
        build_embedding_model(cfg, path)
    torch.save({**state, 'neck.fc.weight': weight[:3]}, path)
    with pytest.raises(ValueError, match='another network than the config'):
        build_embedding_model(cfg, path)


def test_a_network_without_vectors(network, photos, names, tmp_path):
    cfg = as_config(network.config)
    cfg.model.neck = None
    state = torch.load(network.checkpoint, weights_only=True)['state_dict']
    path = tmp_path / 'maps.pth'
    torch.save({k: v for k, v in state.items() if k[:4] != 'neck'}, path)
    embed = EmbeddingInferencer(cfg, path, 'cpu')
    with pytest.raises(ValueError, match=r'put mmdense\.EmbeddingNeck behind'):
        embed(photos / names[0])
