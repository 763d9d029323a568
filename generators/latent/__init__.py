"""The latent space of `latent-statistics`: public bases, the charged release, the mixture that is drawn from."""
