"""Amounts as people read them."""

from django import template

from credits.money import format_dollars

register = template.Library()
register.filter("dollars", format_dollars)
