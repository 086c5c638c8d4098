"""The slow steps of the loop, as generators.

Each yields often (so that refits and other projects get their turn between two steps), and
leaves its result in the store in one transaction at the end. A job that dies is done again;
pretext training goes on from its checkpoint.
"""

from pt4al_backend.jobs.bench import Bench, Job, Step, backbone, questions, segmentation
from pt4al_backend.jobs.images import asks_otherwise, fetch_images, start_anew
from pt4al_backend.jobs.main_task import draw_a_few, draw_masks, extract_features, previews, train_main, undrawn
from pt4al_backend.jobs.pretext import cut_as_wanted, pretext, recut, score_late_images

__all__ = [
    "Bench",
    "Job",
    "Step",
    "asks_otherwise",
    "backbone",
    "cut_as_wanted",
    "draw_a_few",
    "draw_masks",
    "extract_features",
    "fetch_images",
    "pretext",
    "previews",
    "questions",
    "recut",
    "score_late_images",
    "segmentation",
    "start_anew",
    "train_main",
    "undrawn",
]
