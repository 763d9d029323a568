"""Gradients of private images, one a subject, and the ways to compute them."""
