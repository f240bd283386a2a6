"""The tables that attachments need in a Django project's database."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

__all__ = ["OutboxRow", "StateRow", "TokenRow"]


class OutboxRow(models.Model):
    """An entry of the outbox: the files of a row that was replaced or deleted."""

    number: models.BigAutoField[int, int] = models.BigAutoField(primary_key=True)
    disk: models.CharField[str, str] = models.CharField(max_length=255)
    directory: models.CharField[str, str] = models.CharField(max_length=1024)
    attachment: models.CharField[str, str] = models.CharField(max_length=64, db_index=True)
    dropped_at: models.FloatField[float, float] = models.FloatField(db_index=True)
    taken_until: models.FloatField[float | None, float | None] = models.FloatField(null=True)

    class Meta:
        db_table = "jtc_attachment_outbox"

    def __str__(self) -> str:
        return f"{self.disk}: {self.directory}"


class TokenRow(models.Model):
    """A token that was used."""

    attachment: models.CharField[str, str] = models.CharField(primary_key=True, max_length=64)
    used_at: models.FloatField[float, float] = models.FloatField()

    class Meta:
        db_table = "jtc_attachment_tokens"

    def __str__(self) -> str:
        return self.attachment


class StateRow(models.Model):
    """The database's id, and its counter of maintenance runs."""

    number: models.IntegerField[int, int] = models.IntegerField(primary_key=True)
    database_id: models.CharField[str, str] = models.CharField(max_length=64)
    counter: models.BigIntegerField[int, int] = models.BigIntegerField()

    class Meta:
        db_table = "jtc_attachment_state"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(number=1), name="jtc_attachment_one_state")
        ]

    def __str__(self) -> str:
        return self.database_id
