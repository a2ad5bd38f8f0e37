import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts import key_format

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def test_a_secret_has_an_id_a_random_part_and_the_checksum_of_all_before() -> None:
    key_id, secret = key_format.generate()
    prefix, middle, last = secret.split("_")
    assert (prefix, middle, len(middle), len(last)) == ("parley", key_id, 12, 49)
    number = 0
    for character in secret[-6:]:
        number = number * 62 + BASE62.index(character)
    assert number == zlib.crc32(secret[:-6].encode())
    assert key_format.is_well_formed(secret)


def test_a_small_checksum_is_padded() -> None:
    assert key_format.checksum("") == "000000"
    assert len(key_format.checksum("a")) == 6


@given(position=st.integers(0, 68), character=st.characters())
def test_any_one_wrong_character_is_noticed(position: int, character: str) -> None:
    secret = "parley_AbCdEfGhIjKl_" + "x" * 43
    secret += key_format.checksum(secret)
    mistyped = secret[:position] + character + secret[position + 1 :]
    assert key_format.is_well_formed(mistyped) == (mistyped == secret)


@given(st.text())
def test_nothing_else_is_well_formed(text: str) -> None:
    assert not key_format.is_well_formed(text)


@pytest.mark.parametrize("suffix", ["\n", "\0", " ", "x" * 1_000_000])
def test_nothing_may_follow(suffix: str) -> None:
    assert not key_format.is_well_formed(key_format.generate()[1] + suffix)
