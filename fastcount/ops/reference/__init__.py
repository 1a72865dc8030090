"""Every operator in plain PyTorch: slow and obviously right, with the same names and arguments."""
