"""URLs of attachments: ``path("attachments/", include("jtc.storage.attachments.django.urls"))``."""

from __future__ import annotations

from django.urls import path

from jtc.storage.attachments.django._views import attachment

__all__ = ["urlpatterns"]

urlpatterns = [path("<path:path>", attachment, name="jtc_attachments")]
