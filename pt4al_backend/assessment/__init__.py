"""What can be said about labels, model and pool: numpy, SciPy and scikit-learn only, no I/O, no state."""
