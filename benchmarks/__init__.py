"""What is measured here: operators, the shipped model, its training, and the program as users start it."""
