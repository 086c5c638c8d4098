"""Where settings come from: options of the command line, environment, settings file."""
