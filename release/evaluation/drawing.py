"""Where bars, points and lines of a page stand: shares of a width, and coordinates of an SVG; templates draw them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, cos, dist, floor, log10, pi, sin
from typing import Final

WIDTH: Final = 460  # of a plot, in units of its SVG: a phone shows it at its own size
HEIGHT: Final = 280
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 40  # what axes and their names take


@dataclass(frozen=True)
class Bar:
    """One bar. width: of the bar; left, reach: where its interval begins, and how long it is; all in %."""

    name: str
    width: float
    text: str
    left: float = 0.0
    reach: float = 0.0
    is_ours: bool = False


def interval_bars(rows: Sequence[tuple[str, float, float, float]], ours: str = "") -> list[Bar]:
    """Bars of (name, value, low, high), the longest interval to the end of the width. ours: the name to stand out."""
    most = max((high for _, _, _, high in rows), default=0.0) or 1.0
    return [
        Bar(
            name,
            _percent(value / most),
            f"{value:.3f} [{low:.3f}, {high:.3f}]",
            _percent(low / most),
            _percent((high - low) / most),
            name == ours,
        )
        for name, value, low, high in rows
    ]


def share_bars(shares: Mapping[str, float], most: float = 1.0) -> list[Bar]:
    """Bars of shares, told in %; most: the share that takes the whole width."""
    return [Bar(name, _percent(share / most), f"{100 * share:.1f}%") for name, share in shares.items()]


@dataclass(frozen=True)
class Tick:
    """at: the coordinate; text: what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """What one axis spans, and how far apart its ticks are."""

    low: float
    high: float
    step: float

    @classmethod
    def around(cls, values: Sequence[float]) -> Axis:
        """From the tick at or below the least value to the one at or above the most, in a few steps of round length."""
        low, high = min(values), max(values)
        span = (high - low) or abs(high) or 1.0
        magnitude = 10.0 ** floor(log10(span))
        step = magnitude * next(part for part in (0.1, 0.2, 0.5, 1) if span / (part * magnitude) <= 10)
        first = floor(low / step)
        return cls(first * step, max(ceil(high / step), first + 1) * step, step)

    def share(self, value: float) -> float:
        """How far along the axis a value stands: 0 to 1."""
        return (value - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> list[float]:
        n_steps = round((self.high - self.low) / self.step)
        return [round(self.low + number * self.step, 10) for number in range(n_steps + 1)]


@dataclass(frozen=True)
class Axes:
    """The two axes of a plot."""

    x: Axis
    y: Axis

    @classmethod
    def around(cls, xs: Sequence[float], ys: Sequence[float]) -> Axes:
        """Axes that these points fit between."""
        return cls(Axis.around(xs), Axis.around(ys))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point stands."""
        across, up = self.x.share(x) * (WIDTH - LEFT - RIGHT), self.y.share(y) * (HEIGHT - TOP - BOTTOM)
        return round(LEFT + across, 1), round(HEIGHT - BOTTOM - up, 1)

    def path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        """The `d` of an SVG path through these points."""
        places = [self.place(x, y) for x, y in zip(xs, ys, strict=True)]
        return "M" + " L".join(f"{x:g} {y:g}" for x, y in places)

    @property
    def x_ticks(self) -> list[Tick]:
        return [Tick(self.place(value, self.y.low)[0], f"{value:g}") for value in self.x.ticks]

    @property
    def y_ticks(self) -> list[Tick]:
        return [Tick(self.place(self.x.low, value)[1], f"{value:g}") for value in self.y.ticks]


def set_apart(places: Sequence[tuple[float, float]], distance: float) -> list[tuple[float, float]]:
    """Where marks for these places stand, none nearer to another than `distance`.

    Each stands at its place where that is free of those before it, else as near to it as it can, between the axes; at
    its place all the same where all is full.
    """
    marks: list[tuple[float, float]] = []
    for place in places:
        free = (near for near in _around(place, distance) if all(dist(near, mark) >= distance for mark in marks))
        marks.append(next(free, place))
    return marks


def _around(place: tuple[float, float], distance: float) -> Iterator[tuple[float, float]]:
    """The place, and then what lies around it between the axes, on wider and wider rings."""
    yield place
    (x, y), n_turns = place, 16
    for ring in range(1, ceil(2 * (WIDTH + HEIGHT) / distance)):
        for turn in range(n_turns):
            angle, far = 2 * pi * turn / n_turns, ring * distance / 2
            across, up = round(x + far * cos(angle), 1), round(y + far * sin(angle), 1)
            if LEFT <= across <= WIDTH - RIGHT and TOP <= up <= HEIGHT - BOTTOM:
                yield across, up


def _percent(share: float) -> float:
    return round(100 * share, 2)
