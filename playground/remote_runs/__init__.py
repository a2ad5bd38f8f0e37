"""Runs of the site's other web processes: found, stopped and followed; and this process's runs, for the others."""

from playground.remote_runs.client import folder, follow, forget, has, may_have, stop

__all__ = ["folder", "follow", "forget", "has", "may_have", "stop"]
