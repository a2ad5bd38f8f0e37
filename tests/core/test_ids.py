from core import ids


def test_run_ids_carry_the_name_of_their_process() -> None:
    before, name = ids.process_name(), ids.new_name()
    assert ids.process_of(ids.new_run_id()) == before
    ids.name_process(name)
    try:
        first, second = ids.new_run_id(), ids.new_run_id()
    finally:
        ids.name_process(before)
    assert first != second
    assert ids.process_of(first) == ids.process_of(second) == name


def test_run_ids_have_32_hexadecimal_digits_and_grow() -> None:
    made = [ids.new_run_id() for _ in range(2_000)]
    assert all(len(run) == 32 and int(run, 16) for run in made)
    assert len(set(made)) == len(made)
    moments = [run[:20] for run in made]
    assert moments == sorted(moments)
