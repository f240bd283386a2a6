"""Support for authors of drivers and layers: what every driver needs, the official ones included.

Each module stands alone and imports nothing that one operating system lacks:

* `content`: the kinds of content that users pass, and the three that a driver gets;
* `content_checks`: limits of length and type, checked while content is read;
* `mime_types`: MIME types by content and by name;
* `ranges`: byte ranges;
* `checksums`: checksums by name;
* `derived`: reads of a driver that has no more than the eight methods;
* `error_translation`: system errors as `jtc.storage.exceptions`;
* `url_signing`: presigned URLs for storage without a server of its own;
* `loop_budget`: how long operations may keep one turn of the event loop;
* `fork_safety`: locks and connections in a forked child;
* `traceback_scrubbing`: secrets kept out of tracebacks.
"""
