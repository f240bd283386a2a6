"""Support for drivers whose store is reached over HTTP: connections, requests and their retries."""
