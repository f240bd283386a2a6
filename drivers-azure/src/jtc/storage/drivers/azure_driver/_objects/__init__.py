"""Files as blobs."""
