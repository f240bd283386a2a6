"""The tests, by what they are about. Each name is the promise that it tests."""
