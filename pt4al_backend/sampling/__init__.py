"""Choosing the images to label next: numpy and scikit-learn only, no I/O, no state."""
