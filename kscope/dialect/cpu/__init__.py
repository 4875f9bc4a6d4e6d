"""What CPUs did, a file for each crash command that shows it."""
