"""The Triton kernels compiled for GPUs that are not there, held to committed budgets."""
