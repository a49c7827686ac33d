"""Pictures of made-up people with exact dense annotations."""

from .annotations import annotate as annotate
from .data_set import Journal as Journal
from .data_set import write_image as write_image
from .motions import Motion as Motion
from .motions import read_motions as read_motions
from .rasterizer import Fragments as Fragments
from .rasterizer import rasterize as rasterize
from .render import Rendering as Rendering
from .render import render as render
from .sample import Sample as Sample
from .sample import make_sample as make_sample
from .scene import Scene as Scene
from .scene import random_scene as random_scene
from .studio import Studio as Studio
