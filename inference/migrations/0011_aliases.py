import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('inference', '0010_more_kinds_of_engines'),
    ]

    operations = [
        migrations.CreateModel(
            name='Alias',
            fields=[
                ('name', models.CharField(max_length=200, primary_key=True, serialize=False, validators=[django.core.validators.RegexValidator('\\A[\\w.-]+(/[\\w.:-]+)*\\Z', 'Use owner/name.')])),
                ('targets', models.JSONField(help_text='Such as [{"model": "owner/name", "weight": 90}].')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'verbose_name_plural': 'aliases',
            },
        ),
        migrations.AddField(
            model_name='model',
            name='replaced_until',
            field=models.DateField(blank=True, help_text='Up to this day (UTC) the replacement answers for the model once it is retired. Empty when it is retired: two weeks.', null=True),
        ),
    ]
