"""A served site with a model on a fake TGI, as for the API."""

from tests.api.conftest import engines, funded, site, tgi

__all__ = ["engines", "funded", "site", "tgi"]
