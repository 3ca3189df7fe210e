from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("conversations", "0004_turn_cancel_requested_at")]

    operations = [
        migrations.RemoveIndex(model_name="turn", name="turn_finished"),
        migrations.AddIndex(
            model_name="turn",
            index=models.Index(fields=["finished_at", "status", "conversation"], name="turn_ended"),
        ),
    ]
