"""Label configs: reads their controls, and reads and writes the results of these controls."""
