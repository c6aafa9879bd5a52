"""A panel of lines as SVG: a small writer of our own, so that the same picture is the same bytes everywhere.

Colours are those of Okabe and Ito, which people with any colour vision tell apart; each line has a dash pattern of its
own as well, so that a print without colours still reads.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final

from api.verification.picture import Panel, Point, Series, Shade

WIDTH: Final = 960
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 46, 42
HEIGHTS: Final = {"W": 360, "var": 360, "mHz": 220, "mV": 220}
AXES: Final = {"W": "power, kW", "var": "reactive power, kvar", "mHz": "frequency, Hz", "mV": "voltage, V"}
WITH_ZERO: Final = frozenset({"W", "var"})
STYLES: Final = {
    "requested": ("#d55e00", "10 5", 2.4),
    "baseline": ("#6b6b6b", "2 4", 2.0),
    "delivered": ("#0072b2", "", 2.0),
    "frequency": ("#00714f", "", 1.6),
}
"""Colour, dashes and width by kind of line."""
_ORDER: Final = {"delivered": 0, "frequency": 0, "baseline": 1, "requested": 2}
SHADES: Final = {"missing": "gap", "excluded": "out"}
MAX_TICKS: Final = 7
MARK_ROOM: Final = 11
"""Pixels between two names of marks that stand close together."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


class _Axes:
    """Where a moment and a value stand on the sheet."""

    def __init__(self, panel: Panel) -> None:
        """Room for every value of the panel, and a line at zero where power is shown."""
        self.from_ms, self.to_ms = panel.from_ms, panel.to_ms
        self.height = HEIGHTS[panel.unit]
        values = [value for one in panel.series for point in one.points for value in (point.low, point.high)]
        if panel.unit in WITH_ZERO:
            values.append(0)
        low, high = min(values, default=0), max(values, default=1)
        self.step = _nice(max(1, high - low))
        self.low = low // self.step * self.step
        self.high = max(-(-high // self.step) * self.step, self.low + self.step)

    def x(self, at_ms: int) -> float:
        """Pixels from the left; what lies outside the window stands at its edge."""
        at_ms = min(max(at_ms, self.from_ms), self.to_ms)
        return LEFT + (WIDTH - LEFT - RIGHT) * (at_ms - self.from_ms) / (self.to_ms - self.from_ms)

    def y(self, value: int) -> float:
        """Pixels from the top."""
        return TOP + (self.height - TOP - BOTTOM) * (self.high - value) / (self.high - self.low)


def svg(panel: Panel, *, name: str) -> str:
    """The panel as one `<svg>` element. `name` is unique on its page; texts are escaped, nothing is loaded or run."""
    axes = _Axes(panel)
    box = f'viewBox="0 0 {WIDTH} {axes.height}" role="img" aria-labelledby="{name}-title {name}-desc"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
            f'<title id="{name}-title">{escape(panel.title)}</title>',
            f'<desc id="{name}-desc">{escape(_described(panel))}</desc>',
            *_patterns(name),
            *_shades(panel.shades, axes, name),
            *_grid(panel, axes),
            *_marks(panel, axes),
            # Dashes go over the measured line, so that both are seen where they agree.
            *(line for one in sorted(panel.series, key=lambda one: _ORDER[one.kind]) for line in _line(one, axes)),
            *_legend(panel),
            "</svg>",
        )
    )


def _described(panel: Panel) -> str:
    """The picture in words, for who cannot see it."""
    lines = ", ".join(one.label for one in panel.series if one.points)
    shaded = f"; {len(panel.shades)} shaded spans" if panel.shades else ""
    return f"{lines or 'no line'} from {_stamp(panel.from_ms)} to {_stamp(panel.to_ms)} UTC{shaded}"


def _nice(span: int) -> int:
    """A step of 1, 2 or 5 times a power of ten that cuts `span` into at most `MAX_TICKS` parts."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power * MAX_TICKS >= span:
                return factor * power
        power *= 10


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _patterns(name: str) -> Iterator[str]:
    """Hatchings: grey for what is not known, yellow and the other way for what does not count."""
    yield "<defs>"
    for kind, ground, line, turn in (("gap", "#efefef", "#b0b0b0", 45), ("out", "#fdf6c9", "#b39b00", -45)):
        yield (
            f'<pattern id="{name}-{kind}" width="7" height="7" patternUnits="userSpaceOnUse" '
            f'patternTransform="rotate({turn})"><rect width="7" height="7" fill="{ground}"/>'
            f'<line x1="0" y1="0" x2="0" y2="7" stroke="{line}" stroke-width="1.6"/></pattern>'
        )
    yield "</defs>"


def _shades(shades: Sequence[Shade], axes: _Axes, name: str) -> Iterator[str]:
    for shade in shades:
        left, right = axes.x(shade.from_ms), axes.x(shade.to_ms)
        yield (
            f'<rect x="{_number(left)}" y="{TOP}" width="{_number(max(1.0, right - left))}" '
            f'height="{axes.height - TOP - BOTTOM}" fill="url(#{name}-{SHADES[shade.kind]})">'
            f"<title>{escape(shade.label)}</title></rect>"
        )


def _grid(panel: Panel, axes: _Axes) -> Iterator[str]:
    for value in range(axes.low, axes.high + 1, axes.step):
        y = _number(axes.y(value))
        colour = "#555" if value == 0 and panel.unit in WITH_ZERO else "#ddd"
        yield f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="{colour}"/>'
        yield (f'<text x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end" class="tick">{_value(value, axes.step)}</text>')
    bottom = axes.height - BOTTOM
    step_ms = _time_step_ms(axes.to_ms - axes.from_ms)
    with_seconds = step_ms < 60_000
    for at_ms in range(-(-axes.from_ms // step_ms) * step_ms, axes.to_ms + 1, step_ms):
        x = _number(axes.x(at_ms))
        yield f'<line x1="{x}" y1="{bottom}" x2="{x}" y2="{bottom + 5}" stroke="#555"/>'
        yield f'<text x="{x}" y="{bottom + 19}" text-anchor="middle" class="tick">{_clock(at_ms, with_seconds)}</text>'
    yield f'<line x1="{LEFT}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}" stroke="#555"/>'
    yield (
        f'<text x="{(LEFT + WIDTH - RIGHT) // 2}" y="{axes.height - 6}" text-anchor="middle" class="axis">'
        f"time on {_EPOCH + timedelta(milliseconds=axes.from_ms):%Y-%m-%d} (UTC)</text>"
    )
    middle = (TOP + bottom) // 2
    yield (
        f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})" class="axis">'
        f"{AXES[panel.unit]}</text>"
    )


def _value(value: int, step: int) -> str:
    """Thousands of the unit with as many digits as the step between two lines needs."""
    digits = next((count for count in range(3) if step % 10 ** (3 - count) == 0), 3)
    sign, whole = ("\N{MINUS SIGN}" if value < 0 else ""), abs(value)
    text = f"{whole // 1000}.{whole % 1000:03d}"
    return sign + text[: len(text) - 3 + digits].removesuffix(".")


def _time_step_ms(span_ms: int) -> int:
    wanted = span_ms / 1000 / (MAX_TICKS + 1)
    return 1000 * next((step for step in _STEPS_S if step >= wanted), _STEPS_S[-1] * (1 + int(wanted // _STEPS_S[-1])))


def _clock(at_ms: int, with_seconds: bool) -> str:
    return f"{_EPOCH + timedelta(milliseconds=at_ms):{'%H:%M:%S' if with_seconds else '%H:%M'}}"


def _stamp(at_ms: int) -> str:
    return f"{_EPOCH + timedelta(milliseconds=at_ms):%Y-%m-%d %H:%M:%S}"


def _marks(panel: Panel, axes: _Axes) -> Iterator[str]:
    """Moments with a name; names that would stand on one another go a line lower."""
    last_x, row = -1000.0, 0
    for at_ms, label in panel.marks:
        if not axes.from_ms <= at_ms <= axes.to_ms:
            continue
        x = axes.x(at_ms)
        row = row + 1 if x - last_x < 8 * len(label) + 8 else 0
        last_x = x
        yield (
            f'<line x1="{_number(x)}" y1="{TOP}" x2="{_number(x)}" y2="{axes.height - BOTTOM}" '
            f'stroke="#333" stroke-dasharray="1 3"/>'
        )
        yield f'<text x="{_number(x + 4)}" y="{TOP + 11 + row * MARK_ROOM}" class="mark">{escape(label)}</text>'


def _line(series: Series, axes: _Axes) -> Iterator[str]:
    """The line, broken where there is no point; and the band of what was measured, where there is one."""
    colour, dashes, width = STYLES[series.kind]
    runs = list(_runs(series.points))
    for run in runs:
        if any(point.low != point.high for point in run):
            upper = [f"{_number(axes.x(at))},{_number(axes.y(p.high))}" for p in run for at in (p.from_ms, p.to_ms)]
            lower = [f"{_number(axes.x(at))},{_number(axes.y(p.low))}" for p in run for at in (p.from_ms, p.to_ms)]
            yield f'<polygon points="{" ".join((*upper, *reversed(lower)))}" fill="{colour}" fill-opacity="0.16"/>'
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    for run in runs:
        places = [f"{_number(axes.x(at))},{_number(axes.y(p.value))}" for p in run for at in (p.from_ms, p.to_ms)]
        yield (
            f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-linejoin="round"{dashed}/>'
        )


def _runs(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Points that follow one another without a gap."""
    run: list[Point] = []
    for point in points:
        if run and run[-1].to_ms != point.from_ms:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def _legend(panel: Panel) -> Iterator[str]:
    """Above the lines, where it covers nothing; shades have their entry where they occur."""
    x = LEFT
    for one in panel.series:
        if not one.points:
            continue
        colour, dashes, width = STYLES[one.kind]
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        yield f'<line x1="{x}" y1="22" x2="{x + 30}" y2="22" stroke="{colour}" stroke-width="{width}"{dashed}/>'
        yield f'<text x="{x + 37}" y="26" class="key">{escape(one.label)}</text>'
        x += 60 + 7 * len(one.label)
    for kind, label in (("missing", "no evidence"), ("excluded", "does not count")):
        if any(shade.kind == kind for shade in panel.shades):
            ground, line = ("#efefef", "#b0b0b0") if kind == "missing" else ("#fdf6c9", "#b39b00")
            yield f'<rect x="{x}" y="15" width="22" height="14" fill="{ground}" stroke="{line}"/>'
            yield f'<text x="{x + 29}" y="26" class="key">{label}</text>'
            x += 52 + 7 * len(label)
