"""Images whose labels are known: what `simulate` can read."""
