"""What was tried on the shipped models, and the pages that tell of it."""
