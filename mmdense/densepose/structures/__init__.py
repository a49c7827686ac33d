"""What annotations and predictions of dense pose are held in."""

from .densepose_boxes import DensePoseBoxes as DensePoseBoxes
from .densepose_instances import DensePoseInstances as DensePoseInstances
from .densepose_results import DensePoseResults as DensePoseResults
from .ragged_tensors import RaggedTensors as RaggedTensors
