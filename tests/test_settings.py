import pytest
from django.contrib.auth import get_user_model


@pytest.mark.either_database
@pytest.mark.django_db
def test_a_user_signs_in_with_an_email_in_any_case() -> None:
    get_user_model().objects.create_user("Ada@Example.org", "correct horse battery")
    assert get_user_model().objects.get_by_natural_key("ADA@example.ORG").check_password("correct horse battery")
