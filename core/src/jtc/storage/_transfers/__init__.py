"""Engine of the transfers of many files. Imported where one begins, and not with the package."""
