"""How much synthetic data to mix with real data: the shares, what is learned from each, and the margin."""
