"""Genotype frequency by variant, as an inline SVG that needs no script and scales without a viewBox."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from setup.report.rows import Variant, Zygosity

ROW, BAR, AXIS = 58, 22, 34  # pixels; across, everything is a percentage of the width
TICKS = (0, 25, 50, 75, 100)
ANCHORS = {0: "start", 100: "end"}
CLASSES = {Zygosity.HETEROZYGOUS: "het", Zygosity.HOMOZYGOUS: "hom", Zygosity.ONE_ALLELE: "one"}
NARROWEST = 320  # pixels; a count stands in its bar only if it fits there on a phone
LONGEST_NAME = 16  # characters; on a phone a longer one leaves room for the total only


def percent(fraction: float) -> str:
    """0.553846 as '55.4 %'."""
    return f"{100 * fraction:.1f}\N{NO-BREAK SPACE}%"


def plot(variants: Sequence[Variant], samples: int) -> str:
    """The figure's legend and bars; axis 0 to 100 % of the samples."""
    height = ROW * len(variants) + AXIS
    bars = "".join(_row(variant, ROW * index, samples) for index, variant in enumerate(variants))
    return (
        f"{_legend(variants)}"
        f'<svg class="plot" width="100%" height="{height}" role="img" aria-labelledby="plot-title plot-desc">'
        f'<title id="plot-title">Genotype frequency by variant</title>'
        f'<desc id="plot-desc">{escape(_description(variants, samples))}</desc>'
        f"{bars}{_axis(height - AXIS, samples)}</svg>"
    )


def _legend(variants: Sequence[Variant]) -> str:
    present = [kind for kind in Zygosity if any(kind in variant.frequencies for variant in variants)]
    items = [(CLASSES[kind], f"{kind.genotype} {kind.label}") for kind in present]
    items.append(("rest", "neither: homozygous reference, or no call"))
    keys = "".join(f'<li><span class="key {css}"></span>{escape(text)}</li>' for css, text in items)
    return f'<ul class="legend">{keys}</ul>'


def _description(variants: Sequence[Variant], samples: int) -> str:
    sentences = [f"Stacked bars, one for each variant, from 0 to 100 % of the {samples:,} samples."]
    for variant in variants:
        parts = ", ".join(f"{percent(share)} {kind.label}" for kind, share in variant.frequencies.items())
        sentences.append(f"{variant.name}: {parts}; {percent(variant.carriers)} in all.")
    return " ".join(sentences)


def _row(variant: Variant, top: int, samples: int) -> str:
    css = "variant" if len(variant.name) <= LONGEST_NAME else "variant long"
    return f'<g class="{css}">{_heading(variant, top + 18)}{_bar(variant, top + 27, samples)}</g>'


def _heading(variant: Variant, baseline: int) -> str:
    locus = f"{variant.locus} {variant.change}"
    beside = "" if variant.name == locus else f'<tspan class="locus" dx="10">{escape(locus)}</tspan>'
    values = "".join(
        f'<tspan class="part">{percent(share)} {kind.genotype}\N{NO-BREAK SPACE}\N{MIDDLE DOT} </tspan>'
        for kind, share in variant.frequencies.items()
    )
    return (
        f'<text y="{baseline}"><tspan class="name">{escape(variant.name)}</tspan>{beside}</text>'
        f'<text x="100%" y="{baseline}" text-anchor="end">{values}'
        f'<tspan class="total">{percent(variant.carriers)}</tspan></text>'
    )


def _bar(variant: Variant, top: int, samples: int) -> str:
    drawn = [f'<rect class="rest" y="{top}" width="100%" height="{BAR}"/>']
    drawn.extend(_line("grid", tick, top) for tick in TICKS[1:-1])
    start = 0.0
    for kind, share in variant.frequencies.items():
        width = min(share, 1 - start)  # the page warns of a sum above 1; the bar ends at the axis
        drawn.append(
            f'<rect class="{CLASSES[kind]}" x="{100 * start:.4f}%" y="{top}" '
            f'width="{100 * width:.4f}%" height="{BAR}"/>'
        )
        count = str(round(share * samples))
        if width * NARROWEST > 7.2 * len(count) + 2.5:
            drawn.append(_count(count, CLASSES[kind], start + width / 2, top))
        start += width
        drawn.append(_line("cut", 100 * start, top))
    return "".join(drawn)


def _count(count: str, css: str, middle: float, top: int) -> str:
    place = f'x="{100 * middle:.4f}%" y="{top + BAR / 2 + 4.5}"'
    return f'<text class="count in-{css}" {place} text-anchor="middle">{count}</text>'


def _line(css: str, percentage: float, top: int) -> str:
    x = f"{percentage:.4f}%"
    return f'<line class="{css}" x1="{x}" x2="{x}" y1="{top}" y2="{top + BAR}"/>'


def _axis(top: int, samples: int) -> str:
    ticks = "".join(_tick(f"{tick} %", tick, top + 12) for tick in TICKS)
    return ticks + _tick(f"share of the {samples:,} samples; in the bars: samples", 50, top + 30)


def _tick(text: str, percentage: int, baseline: int) -> str:
    anchor = ANCHORS.get(percentage, "middle")
    return f'<text class="tick" x="{percentage}%" y="{baseline}" text-anchor="{anchor}">{text}</text>'
