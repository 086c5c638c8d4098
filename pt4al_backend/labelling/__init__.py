"""Questions, label types (one file each), and the protocol of a labelling platform."""
