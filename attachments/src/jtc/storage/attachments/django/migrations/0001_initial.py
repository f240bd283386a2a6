"""The tables of the first version."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Creates the outbox, the used tokens, and the state."""

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="OutboxRow",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                ("disk", models.CharField(max_length=255)),
                ("directory", models.CharField(max_length=1024)),
                ("attachment", models.CharField(db_index=True, max_length=64)),
                ("dropped_at", models.FloatField(db_index=True)),
                ("taken_until", models.FloatField(null=True)),
            ],
            options={
                "db_table": "jtc_attachment_outbox",
            },
        ),
        migrations.CreateModel(
            name="TokenRow",
            fields=[
                ("attachment", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("used_at", models.FloatField()),
            ],
            options={
                "db_table": "jtc_attachment_tokens",
            },
        ),
        migrations.CreateModel(
            name="StateRow",
            fields=[
                ("number", models.IntegerField(primary_key=True, serialize=False)),
                ("database_id", models.CharField(max_length=64)),
                ("counter", models.BigIntegerField()),
            ],
            options={
                "db_table": "jtc_attachment_state",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("number", 1)), name="jtc_attachment_one_state"
                    )
                ],
            },
        ),
    ]
