"""Trust roots that renew themselves by The Update Framework: rotated, revoked, never rolled back, never stale."""
