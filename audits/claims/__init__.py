"""Is the privacy claim of a generator's card what its code does? Canaries, bounds, tests of the sampler."""
