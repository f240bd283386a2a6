"""The S3 protocol: typed requests and results, signatures, and the connections for them."""
