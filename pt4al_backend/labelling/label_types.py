"""What differs between the types of labels, in tables."""

from __future__ import annotations

from pt4al_backend.labelling.multiple import error_of_labels
from pt4al_backend.labelling.questions import MULTIPLE, SEGMENTATION, SINGLE
from pt4al_backend.labelling.segmentation import error_of_pixels
from pt4al_backend.labelling.single import error_of_one

ERRORS = {SINGLE: error_of_one, MULTIPLE: error_of_labels, SEGMENTATION: error_of_pixels}
