"""Config files: reading, overrides, checks, and the plan in steps."""
