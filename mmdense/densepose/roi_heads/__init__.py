"""Heads that predict dense pose for RoIs."""

from .panoptic_fpn_decoder import PanopticFPNDecoder as PanopticFPNDecoder
from .trunks import ASPPTrunk as ASPPTrunk
from .trunks import ConvTrunk as ConvTrunk
from .uv_head import UVHead as UVHead
from .uv_roi_head import UVRoIHead as UVRoIHead
