"""Where settings come from: command-line options, environment variables, settings file."""
