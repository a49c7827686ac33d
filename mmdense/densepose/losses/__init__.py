"""Losses at dense points, and what balances the tasks."""

from .balancers import DWABalancer as DWABalancer
from .balancers import LossBalancer as LossBalancer
from .balancers import RampBalancer as RampBalancer
from .balancers import SoftmaxBalancer as SoftmaxBalancer
from .balancers import StaticBalancer as StaticBalancer
from .balancers import UncertaintyBalancer as UncertaintyBalancer
from .dense_points_loss import ConfidentPointsLoss as ConfidentPointsLoss
from .dense_points_loss import DensePointsLoss as DensePointsLoss
from .dense_points_loss import PointsLoss as PointsLoss
