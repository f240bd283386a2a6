"""Support for authors of drivers and layers, which the official drivers use too.

Each module is independent and imports nothing that one operating system lacks:

* `content`: conversion of the kinds of content that users pass to the three that a driver gets;
* `content_checks`: limits of length and type, checked while content is read;
* `mime_types`: MIME types by content and by name;
* `ranges`: byte ranges;
* `checksums`: checksums by name;
* `derived`: reads and listings of a driver that lacks a capability;
* `standalone`: checks of a driver that is used without `Disk`;
* `level_listing`: where a listing of directories, level by level, goes on after a key;
* `error_translation`: system errors as `jtc.storage.exceptions`;
* `url_signing`: presigned URLs for storage that no server serves;
* `loop_clients`: clients per event loop, closed with it;
* `loop_budget`: time budget of operations within one iteration of the event loop;
* `file_modes`: permission bits of public and private files;
* `fork_safety`: reset of locks and connections in a forked child;
* `traceback_scrubbing`: removal of secrets from tracebacks;
* `findings`: what the command ``doctor`` finds wrong with a disk;
* `diagnosing`: checks that find it, each by itself.
"""
