"""Networks that several families share, and their tensors, conditions and checkpoints."""
