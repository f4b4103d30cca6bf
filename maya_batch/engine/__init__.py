"""Language models that write speech codes for texts."""
