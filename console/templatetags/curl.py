"""A command to try a new key with, for the panel's page too."""

from django import template

from console.curl import try_key

register = template.Library()
register.simple_tag(try_key)
