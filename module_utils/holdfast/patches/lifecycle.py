"""Until when versions get fixes: data, with where they come from. Read on 2026-11-26; correct them here alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

READ_ON = date(2026, 11, 26)
SOURCES: Mapping[str, str] = {
    "postgresql": "www.postgresql.org/support/versioning",
    "mariadb": "mariadb.org/about/#maintenance-policy",
    "debian": "wiki.debian.org/DebianReleases and wiki.debian.org/LTS",
}
# product -> version -> end of fixes; two dates where another team goes on after the first.
ENDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "postgresql": {
        "12": ("2024-11-14",),
        "13": ("2025-11-13",),
        "14": ("2026-11-12",),
        "15": ("2027-11-11",),
        "16": ("2028-11-09",),
        "17": ("2029-11-08",),
        "18": ("2030-11-14",),
    },
    "mariadb": {
        "10.4": ("2024-06-18",),
        "10.5": ("2025-06-24",),
        "10.6": ("2026-07-06",),
        "10.11": ("2028-02-16",),
        "11.4": ("2029-05-29",),
        "11.8": ("2028-06-04",),
        "12.3": ("2029-06-30",),
    },
    "debian": {
        "10": ("2022-09-10", "2024-06-30"),
        "11": ("2024-08-14", "2026-08-31"),
        "12": ("2026-07-11", "2028-06-30"),
        "13": ("2028-08-09", "2030-06-30"),
    },
}


@dataclass(frozen=True)
class End:
    """When the fixes of a version end. ``first`` differs from ``last`` where long-term support follows."""

    product: str
    version: str
    first: date
    last: date
    source: str

    def days_left(self, today: date) -> int:
        """Days until nobody mends it any more; negative afterwards."""
        return (self.last - today).days


def end_of(product: str, version: str) -> End | None:
    """The end of the fixes of a version, ``15.20`` or ``12``; None when it is not in the data: never a guess."""
    series = ENDS.get(product, {})
    parts = version.split(".")
    for name in (".".join(parts[:2]), parts[0]):
        if name in series:
            days = [date.fromisoformat(text) for text in series[name]]
            return End(product, name, days[0], days[-1], SOURCES[product])
    return None
