"""What is added to low-rank images: detail of phantoms, or of a network trained on public images."""
