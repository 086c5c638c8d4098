"""How the controls of a label config are read, and their results read and written."""
