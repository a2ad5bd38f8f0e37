"""Every other address under /v1."""

from django.http import Http404
from rest_framework.request import Request
from rest_framework.views import APIView


class Unknown(APIView):
    """Every other address under /v1: a 404 in the API's own shape, for whoever holds a key."""

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        """Authenticate as usual, then say that there is nothing here."""
        super().initial(request, *args, **kwargs)
        raise Http404
