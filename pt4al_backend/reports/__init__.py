"""What people read and take away: status, checks, exports."""
