"""Choosing the images to label next: numpy only, no I/O, no state."""
