"""What people are told: status, checks, exports."""
