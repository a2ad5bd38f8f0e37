"""Resources under /v1: plain Django REST framework."""

from django.db.models import QuerySet
from django.http import Http404
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.serializers import ModelSerializer
from inference.errors import ModelNotFound
from inference.models import Model


class ModelList(ListAPIView[Model]):
    """``GET /v1/models``: every model that can be called now."""

    serializer_class = ModelSerializer

    def get_queryset(self) -> QuerySet[Model]:
        """Return the callable models, in order of their ids."""
        return Model.objects.callable().order_by("id")

    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        """Wrap the models as OpenAI does."""
        return Response({"object": "list", "data": self.get_serializer(self.get_queryset(), many=True).data})


class ModelDetail(RetrieveAPIView[Model]):
    """``GET /v1/models/{id}``, where the id may hold a slash."""

    serializer_class = ModelSerializer
    lookup_url_kwarg = "model_id"

    def get_queryset(self) -> QuerySet[Model]:
        """Look among the callable models only."""
        return Model.objects.callable()

    def get_object(self) -> Model:
        """Find the model. Raises ModelNotFound."""
        model_id = self.kwargs["model_id"]
        # PostgreSQL does not even take the question.
        if "\0" in model_id:
            raise ModelNotFound.named(model_id)
        try:
            return super().get_object()
        except Http404:
            raise ModelNotFound.named(model_id) from None


class Unknown(APIView):
    """Every other address under /v1: a 404 in the API's own shape, for whoever holds a key."""

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        """Authenticate as usual, then say that there is nothing here."""
        super().initial(request, *args, **kwargs)
        raise Http404
