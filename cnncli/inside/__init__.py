"""Looks into a network: what its layers compute, what excites its filters, and which pixels speak for a class.

It takes a `Network` and arrays, and returns arrays. It reads no files, and draws nothing.
"""

from .activations import LayerOutput, images_at_once, layer_outputs, penultimate_features
from .attribution import cam_layer, class_maps, grad_cam, input_gradient, spread
from .filters import Filters, filter_pictures, first_filters
from .patches import Patches, cut_patch, exciting_patches
from .receptive_field import Geometry, geometry, receptive_fields

__all__ = [
    "Filters",
    "Geometry",
    "LayerOutput",
    "Patches",
    "cam_layer",
    "class_maps",
    "cut_patch",
    "exciting_patches",
    "filter_pictures",
    "first_filters",
    "geometry",
    "grad_cam",
    "images_at_once",
    "input_gradient",
    "layer_outputs",
    "penultimate_features",
    "receptive_fields",
    "spread",
]
