"""Links the messages of each conversation into a tree, so that nothing that stood in one is lost.

What stood in line follows one another. What an unfinished answer had replaced becomes an earlier branch beside it.
"""

from django.db import migrations
from django.db.models import F


def link(apps, schema_editor):
    Conversation = apps.get_model("playground", "Conversation")
    for conversation in Conversation.objects.only("id").iterator(chunk_size=500):
        _link(apps.get_model("playground", "Message"), conversation)


def _link(Message, conversation):
    ordered = Message.objects.filter(conversation=conversation).order_by(
        "position", F("replaced_by").asc(nulls_last=True), "id"
    )
    messages = list(ordered.only("id", "position", "replaced_by", "state"))
    last_of = {}
    shown = None
    for number, message in enumerate(messages):
        if message.replaced_by is None:
            message.parent_id = shown
            shown = message.id
        else:
            # What was replaced together follows one another, from the last message that stayed.
            message.parent_id = last_of.get(message.replaced_by, shown)
            last_of[message.replaced_by] = message.id
        message.position = number
        # Only one can be running, and whoever wrote these is not running any more.
        if message.state == "running":
            message.state = "stopped"
    Message.objects.bulk_update(messages, ["parent", "position", "state"], batch_size=500)
    if shown is not None:
        conversation.head_id = shown
        conversation.save(update_fields=["head"])


class Migration(migrations.Migration):
    dependencies = [("playground", "0002_branches")]

    operations = [migrations.RunPython(link, migrations.RunPython.noop)]
