"""Images: resize, convert and check them, on any disk or none."""
