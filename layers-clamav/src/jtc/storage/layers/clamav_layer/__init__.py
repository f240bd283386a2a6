"""The layer that stores only what a virus scanner accepts."""
