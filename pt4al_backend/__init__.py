"""A Label Studio ML backend that serves the images worth labelling first (PT4AL, ECCV 2022)."""

__version__ = "0.2.0"
