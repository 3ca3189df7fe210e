from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("conversations", "0003_prediction_explanation")]

    operations = [
        migrations.AddField(
            model_name="turn", name="cancel_requested_at", field=models.DateTimeField(blank=True, null=True)
        ),
    ]
