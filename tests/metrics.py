"""What the process's metrics said before, and by how much they have moved since."""

from prometheus_client import REGISTRY


class Moved:
    """Counts from the moment that it is made: the registry is the whole process's, other tests' runs included."""

    def __init__(self) -> None:
        self._before = _samples()

    def by(self, name: str, **labels: str) -> float:
        """Return by how much a series has moved."""
        key = (name, frozenset(labels.items()))
        return _samples().get(key, 0.0) - self._before.get(key, 0.0)

    @property
    def labels(self) -> str:
        """Every label of every series, in one text to search."""
        return repr([key for key in _samples() if key[1]])


def _samples() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    samples = (sample for metric in REGISTRY.collect() for sample in metric.samples)
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
