"""What every conversation's messages keep to once they are linked; what was replaced needs no mark of its own any more."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("playground", "0003_link_messages")]

    operations = [
        migrations.RemoveField(
            model_name='message',
            name='replaced_by',
        ),
        migrations.AddIndex(
            model_name='conversation',
            index=models.Index(condition=models.Q(('deleted_at', None), _negated=True), fields=['deleted_at'], name='deleted_conversations'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('deleted_at', None), _negated=True), fields=['deleted_at'], name='deleted_messages'),
        ),
        migrations.AddConstraint(
            model_name='message',
            constraint=models.UniqueConstraint(fields=('conversation', 'position'), name='one_message_per_position'),
        ),
        migrations.AddConstraint(
            model_name='message',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'running')), fields=('conversation',), name='one_answer_at_a_time'),
        ),
    ]
