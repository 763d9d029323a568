"""Real-versus-synthetic detectors that may leave the site: files and a loader (privacy.md 11)."""
