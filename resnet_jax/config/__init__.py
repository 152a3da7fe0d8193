"""What is asked for: config files, their checks, and their plan in steps."""
