"""Looks into a network: what its layers compute, what excites its filters, and which pixels speak for a class.

It takes a `Network` and arrays, and returns arrays. It reads no files, and draws nothing.
"""

from .activations import LayerOutput, images_at_once, layer_outputs, penultimate_features
from .attribution import cam_layer, class_maps, grad_cam, input_gradient, spread
from .filters import Filters, filter_pictures, first_filters
from .integrated_gradients import Integrated, integrated_gradients
from .occlusion import Occlusion, occlusion_map
from .one_value import OneValue, explain_value
from .patches import Patches, cut_patch, exciting_patches, patch_tile
from .position import Position, read_position
from .receptive_field import Geometry, geometry, receptive_fields

__all__ = [
    "Filters",
    "Geometry",
    "Integrated",
    "LayerOutput",
    "Occlusion",
    "OneValue",
    "Patches",
    "Position",
    "cam_layer",
    "class_maps",
    "cut_patch",
    "exciting_patches",
    "explain_value",
    "filter_pictures",
    "first_filters",
    "geometry",
    "grad_cam",
    "images_at_once",
    "input_gradient",
    "integrated_gradients",
    "layer_outputs",
    "occlusion_map",
    "patch_tile",
    "penultimate_features",
    "read_position",
    "receptive_fields",
    "spread",
]
