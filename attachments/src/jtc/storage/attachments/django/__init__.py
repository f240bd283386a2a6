"""Attachments of Django models: an app, `AttachmentField`, and its forms.

``INSTALLED_APPS`` names ``"jtc.storage.attachments.django"``, and the setting
``STORAGE_ATTACHMENTS`` holds the options of the registry.
"""

from jtc.storage.attachments.django._pending import claim, duplicate
from jtc.storage.attachments.django._registry import registry
from jtc.storage.attachments.django.fields import AttachmentField

__all__ = ["AttachmentField", "claim", "duplicate", "registry"]
