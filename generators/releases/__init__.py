"""Single noisy releases that families other than `latent-statistics` start from."""
