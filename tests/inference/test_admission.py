"""Requests in flight, counted against whoever sent them."""

import pytest
from pytest_django.fixtures import Settings

from inference.admission import project_place
from inference.errors import ConcurrencyLimited


def test_requests_in_flight_are_counted_by_project(settings: Settings) -> None:
    settings.PROJECT_CONCURRENCY = 2
    with project_place(1), project_place(1):
        with pytest.raises(ConcurrencyLimited), project_place(1):
            pass
        with project_place(2):
            pass
    with project_place(1), project_place(1):
        pass
