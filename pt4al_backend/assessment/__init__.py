"""What can be said about labels, model and pool: numpy and scipy only, no I/O, no state."""
