"""The web process: what Label Studio sends, the status and the dashboard."""
