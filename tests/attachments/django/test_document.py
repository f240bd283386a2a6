"""The examples of docs/django-attachments.md, in a project that has its model."""

from __future__ import annotations

from typing import Any

from django_project import documented


def test_examples_of_the_document_do_what_it_says(club: Any, stored: Any) -> None:
    settings, model, urls, *examples = documented()
    assert "STORAGE_ATTACHMENTS" in settings
    assert "AttachmentField" in model
    assert "include" in urls
    from shelf.models import Product

    namespace: dict[str, Any] = {"Product": Product, "__name__": "shelf.examples"}
    for example in examples:
        exec(compile(example, "django-attachments.md", "exec"), namespace)
    assert len(examples) == 3
    assert Product.objects.count() == 2
    Product.objects.all().delete()
