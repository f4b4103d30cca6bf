"""Language models that generate speech codes for texts."""
