"""The layers of the model, in PyTorch, and in Triton for GPUs."""
