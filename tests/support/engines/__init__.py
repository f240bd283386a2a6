"""S3 stores that run on loopback for tests, one class each."""
