"""The layers of the model: in PyTorch, and in Triton on a GPU."""
