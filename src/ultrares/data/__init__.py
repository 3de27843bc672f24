"""Training data: tiles, degraded pairs, and how they are drawn."""
