"""Membership told from a generator's own weights: what scores say of people, and generators that never saw them."""
