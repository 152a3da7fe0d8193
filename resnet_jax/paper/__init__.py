"""The paper's tables and figures, beside what has been measured here."""
