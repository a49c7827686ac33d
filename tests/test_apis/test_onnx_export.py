"""Exported networks in ONNX Runtime, used as their metadata says."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmengine.model import BaseModule

from mmdense.apis import EmbeddingInferencer
from mmdense.apis.embedding_model import as_config
from mmdense.apis.image_pipeline import ImagePipeline
from mmdense.apis.onnx_export import export_onnx, find_input_size
from mmdense.recognition.backbones import IResNet
from mmdense.recognition.necks import EmbeddingNeck
from mmdense.registry import MODELS
from mmdense.version import __version__

ROOT = Path(__file__).parents[2]


def run_file(path, images):
    """(n, d) of n (h, w, 3) RGB images, by what the metadata says alone."""
    session = onnxruntime.InferenceSession(str(path))
    meta = session.get_modelmeta().custom_metadata_map
    x = np.stack(images).astype(np.float32)
    assert list(x.shape[1:3]) == json.loads(meta['input_size'])
    if meta['channel_order'] == 'bgr':
        x = x[..., ::-1]
    if not json.loads(meta['preprocessing_in_graph']):
        x = (x - np.float32(json.loads(meta['mean']))) / np.float32(
            json.loads(meta['std'])
        )
    if session.get_inputs()[0].type == 'tensor(uint8)':
        x = x.astype(np.uint8)
    return session.run(None, {'data': x.transpose(0, 3, 1, 2)})[0]


@pytest.mark.parametrize('to_rgb', [True, False])
@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(normalize=True),
        dict(with_preprocessing=True),
        dict(with_preprocessing=True, input_dtype='uint8', normalize=True),
    ],
    ids=lambda options: '-'.join(options) or 'plain',
)
def test_equals_the_network(
    networks, photos, names, tmp_path, to_rgb, options
):
    network = networks(to_rgb)
    out = tmp_path / 'net.onnx'
    paths = [photos / name for name in names[:5]]
    _, differences = export_onnx(
        network.config, network.checkpoint, out, images=paths[:2], **options
    )
    assert [*differences][-2:] == [str(path) for path in paths[:2]]
    assert max(differences.values()) < 1e-4
    assert [*tmp_path.iterdir()] == [out]
    expected = np.stack([network.embed(path) for path in paths])
    if options.get('normalize'):
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    rgb = [cv2.imread(str(p))[2:34, 4:36, ::-1] for p in paths]
    for batch in (1, 5):
        found = run_file(out, rgb[:batch])
        np.testing.assert_allclose(
            found, expected[:batch], rtol=1e-3, atol=1e-5
        )


def test_metadata(network, tmp_path):
    out = tmp_path / 'net.onnx'
    export_onnx(
        network.config, network.checkpoint, out, with_preprocessing=True
    )
    proto = onnx.load(out)
    sha256 = hashlib.sha256(Path(network.checkpoint).read_bytes())
    assert {entry.key: entry.value for entry in proto.metadata_props} == {
        'input_size': '[32, 32]',
        'channel_order': 'rgb',
        'mean': '[121.0, 110.0, 99.0]',
        'std': '[60.0, 50.0, 40.0]',
        'preprocessing_in_graph': 'true',
        'pipeline': '[{"type": "mmpretrain.CenterCrop", "crop_size": 32}]',
        'embedding_length': '16',
        'normalized': 'false',
        'config': 'small',
        'checkpoint_sha256': sha256.hexdigest(),
        'mmdense_version': __version__,
    }
    onnx.checker.check_model(proto, full_check=True)
    (data,), (embedding,) = proto.graph.input, proto.graph.output
    assert (data.name, embedding.name) == ('data', 'embedding')
    first = data.type.tensor_type.shape.dim[0]
    assert first.dim_param == 'batch'


def test_mean_and_std_in_the_order_of_the_input(networks, tmp_path):
    network = networks(to_rgb=False)
    arguments = network.config, network.checkpoint, tmp_path / 'net.onnx'
    plain, _ = export_onnx(*arguments)
    inside, _ = export_onnx(*arguments, with_preprocessing=True)
    assert (plain.channel_order, plain.mean) == ('bgr', [121.0, 110.0, 99.0])
    assert (inside.channel_order, inside.mean) == ('rgb', [99.0, 110.0, 121.0])


def test_iresnet(network, tmp_path):
    cfg = as_config(network.config)
    cfg.model.backbone = dict(type='mmdense.IResNet', depth=18)
    cfg.model.neck.update(in_channels=512, spatial_size=2)
    parts = dict(backbone=IResNet(18), neck=EmbeddingNeck(512, 2, 16))
    parts = torch.nn.ModuleDict(parts)
    with torch.no_grad():  # statistics of BN
        parts.neck(parts.backbone(torch.randn(8, 3, 32, 32)))
    parts.eval()
    torch.save(parts.state_dict(), tmp_path / 'net.pth')
    out = tmp_path / 'net.onnx'
    export_onnx(cfg, tmp_path / 'net.pth', out)
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3))
    x = (images - np.array([121, 110, 99])) / np.array([60, 50, 40])
    x = torch.from_numpy(x).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = parts.neck(parts.backbone(x))[-1].numpy()
    for batch in (1, 5):
        found = run_file(out, images[:batch])
        error = abs(found - expected[:batch]).max()
        assert error < 1e-4 * abs(expected).max()


@MODELS.register_module(force=True)
class BatchIsConstant(BaseModule):
    """Reshapes by a number that tracing takes for a constant."""

    def forward(self, x):
        x = x.mean(dim=(2, 3)).reshape(int(x.shape[0]), 1, 3)
        return (x * 1.0).reshape(-1, 3)


@pytest.fixture
def fixed(network, tmp_path):
    """A config and a checkpoint whose network has a constant batch size."""
    cfg = as_config(network.config)
    cfg.model.backbone = dict(type='mmdense.BatchIsConstant')
    cfg.model.neck.update(in_channels=3, spatial_size=1)
    neck = EmbeddingNeck(3, 1, 16)
    state = {f'neck.{k}': v for k, v in neck.state_dict().items()}
    torch.save(state, tmp_path / 'fixed.pth')
    return cfg, tmp_path / 'fixed.pth'


def test_a_constant_batch_size_is_found(fixed, tmp_path, photos, names):
    out = tmp_path / 'net.onnx'
    with pytest.raises(ValueError, match=r'batch 1: .* give --batch-size'):
        export_onnx(*fixed, out)
    assert [path.name for path in tmp_path.iterdir()] == ['fixed.pth']

    export_onnx(*fixed, out, batch_size=4)
    paths = [photos / name for name in names[:7]]
    expected = EmbeddingInferencer(*fixed, 'cpu')(paths)
    found = EmbeddingInferencer(fixed[0], out, 'cpu')(paths)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_inferencer_runs_files(networks, photos, names, tmp_path):
    network = networks(to_rgb=False)
    paths = [photos / name for name in names]
    expected = np.stack([network.embed(path) for path in paths])
    out = tmp_path / 'net.onnx'
    for inside in (False, True):
        export_onnx(
            network.config, network.checkpoint, out, with_preprocessing=inside
        )
        embed = EmbeddingInferencer(network.config, out, 'cpu')
        np.testing.assert_allclose(
            embed(paths, batch_size=3), expected, rtol=1e-3, atol=1e-5
        )
    export_onnx(network.config, network.checkpoint, out, normalize=True)
    embed = EmbeddingInferencer(network.config, out, 'cpu')
    with pytest.raises(ValueError, match='exported with --normalize'):
        embed(paths[0], flip=True)


def test_input_size_of_the_first_test_image(network, photos, names):
    cfg = as_config(network.config)
    dataset = cfg.test_dataloader.dataset
    del dataset.pipeline[1]
    with pytest.raises(ValueError, match='give --input-size HEIGHT WIDTH'):
        find_input_size(cfg, ImagePipeline(cfg))
    dataset.data_root = str(photos)
    dataset.extensions = ('.bmp', '.png')
    assert find_input_size(cfg, ImagePipeline(cfg)) == (36, 40)


def test_errors(network, tmp_path, monkeypatch):
    arguments = network.config, network.checkpoint, tmp_path / 'net.onnx'
    with pytest.raises(ValueError, match=r'uint8 input needs --with-preproc'):
        export_onnx(*arguments, input_dtype='uint8')
    with pytest.raises(ValueError, match=r'differs from PyTorch .* at most 0'):
        export_onnx(*arguments, tolerance=0.0)
    cfg = as_config(network.config)
    cfg.data_preprocessor.pad_size_divisor = 48
    with pytest.raises(ValueError, match='not a multiple of pad_size_divisor'):
        export_onnx(cfg, *arguments[1:])
    assert not any(tmp_path.iterdir())

    with pytest.raises(FileNotFoundError, match=r'missing\.onnx does not'):
        EmbeddingInferencer(network.config, tmp_path / 'missing.onnx')
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(ImportError, match=r"pip install 'mmdense\[onnx\]'"):
        export_onnx(*arguments)


def test_files_of_others_are_refused(network, tmp_path):
    float32 = onnx.TensorProto.FLOAT
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('Identity', ['x'], ['y'])],
        'theirs',
        [value('x', float32, [1])],
        [value('y', float32, [1])],
    )
    opsets = [onnx.helper.make_opsetid('', 17)]
    proto = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(proto, tmp_path / 'theirs.onnx')
    with pytest.raises(ValueError, match="lacks 'input_size' in its metadata"):
        EmbeddingInferencer(network.config, tmp_path / 'theirs.onnx', 'cpu')


def test_the_tool_and_the_example_of_the_docs(
    network, photos, names, tmp_path, monkeypatch
):
    tool = ROOT / 'tools' / 'deployment' / 'export_onnx.py'
    out = tmp_path / 'model.onnx'
    done = subprocess.run(
        [sys.executable, tool, network.config, network.checkpoint, out],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'data: float32 (batch, 3, 32, 32), rgb' in done.stdout
    assert 'random pixels, batch 5' in done.stdout

    image = photos / next(name for name in names if name.endswith('.png'))
    crop = cv2.imread(str(image))[2:34, 4:36]
    cv2.imwrite(str(tmp_path / 'image.png'), crop)
    docs = (ROOT / 'docs' / 'export.md').read_text()
    code = re.search(r'```python\n(import json.*?)```', docs, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(code.group(1), scope)
    np.testing.assert_allclose(
        scope['embedding'], network.embed(image), rtol=1e-3, atol=1e-5
    )
