"""What Label Studio does, and how it is asked."""
