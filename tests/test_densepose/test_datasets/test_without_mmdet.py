"""Types of dense pose say what to install, and recognition does without."""

import subprocess
import sys

CODE = """
import importlib.util
import sys

find_spec = importlib.util.find_spec
importlib.util.find_spec = (
    lambda name, *args: None if name == 'mmdet' else find_spec(name, *args)
)
sys.modules['mmdet'] = None

import mmdense.apis
from mmdense.registry import DATASETS, METRICS, TRANSFORMS, VISUALIZERS

for registry, name in (
    (DATASETS, 'DensePoseCocoDataset'),
    (TRANSFORMS, 'LoadDensePoseAnnotations'),
    (TRANSFORMS, 'PackDensePoseInputs'),
    (VISUALIZERS, 'DensePoseVisualizer'),
    (METRICS, 'DensePoseCocoMetric'),
    (METRICS, 'DensePoseUVMetric'),
):
    try:
        registry.build({'type': f'mmdense.{name}', 'name': 'x'})
    except ImportError as error:
        assert f'mmdense.{name} needs mmdet' in str(error), error
        assert 'pip install onedl-mmdetection' in str(error), error
    else:
        raise AssertionError(name)
try:
    mmdense.apis.DensePoseInferencer
except ImportError as error:
    assert 'mmdense.apis.DensePoseInferencer needs mmdet' in str(error), error
else:
    raise AssertionError('DensePoseInferencer')
assert DATASETS.get('mmdense.GlyphIdentities') is not None
assert METRICS.get('mmdense.VerificationMetric') is not None
"""


def test_types_say_what_they_need():
    subprocess.run([sys.executable, '-c', CODE], check=True)
