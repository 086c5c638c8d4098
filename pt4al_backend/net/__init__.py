"""What this program may connect to, and where it listens."""
