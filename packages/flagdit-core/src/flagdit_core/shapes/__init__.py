"""Flat shapes in colours: drawn, found again in a picture, and named. Worlds of pictures and of films are made of them.

Needs ``flagdit-core[pictures]``. Read in this order: vocabulary, drawing, segmentation, recognition, look.
"""

from flagdit_core.shapes.drawing import Shape, draw_shapes
from flagdit_core.shapes.look import Observation, Picture, SeenObject, check_sides, look

__all__ = ["Observation", "Picture", "SeenObject", "Shape", "check_sides", "draw_shapes", "look"]
