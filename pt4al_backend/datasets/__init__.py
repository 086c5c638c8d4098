"""Images with known labels: everything that `simulate` can read."""
