"""Run the gallery on this machine: ``python docs/examples/gallery``, or `make web`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import uvicorn

sys.path.insert(0, str(Path(__file__).parent))

from bucket_cors import allow_uploads_from, rule_for

PORT = int(os.environ.get("PORT", "8000"))

if __name__ == "__main__":
    origins = [f"http://localhost:{PORT}", f"http://127.0.0.1:{PORT}"]
    if os.environ.get("GALLERY_SETS_CORS"):
        allow_uploads_from(origins)
    elif os.environ.get("FILESYSTEM_DISK") == "s3":
        rule = json.dumps([rule_for(origins)], indent=2)
        print(f"The bucket needs this CORS rule, beside those that it has:\n{rule}")
    print(f"The gallery: {origins[0]}")
    uvicorn.run("app:app", host="127.0.0.1", port=PORT, log_level="warning")
