"""The processes of the backend: who starts, watches and restarts them, and how projects take turns in the worker."""
