"""How well one image fits a finished generator's own weights: what a receiver of the weights can compute."""
