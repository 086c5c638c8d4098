"""The slow steps of the loop, as generators.

Each yields often (so that refits and other projects get their turn between two steps), and
leaves its result in the store in one transaction at the end. A job that dies is done again;
pretext training goes on from its checkpoint.
"""

from pt4al_backend.jobs.bench import Bench, Job, Step, backbone
from pt4al_backend.jobs.images import fetch_images
from pt4al_backend.jobs.main_task import extract_features, train_main
from pt4al_backend.jobs.pretext import cut_as_wanted, pretext, recut, score_late_images

__all__ = [
    "Bench",
    "Job",
    "Step",
    "backbone",
    "cut_as_wanted",
    "extract_features",
    "fetch_images",
    "pretext",
    "recut",
    "score_late_images",
    "train_main",
]
