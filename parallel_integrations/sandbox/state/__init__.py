"""What a running sandbox keeps between requests: runs, monitors, bills, webhooks."""
