"""The results, as a Markdown table for people and as JSON for programs."""

import json
from pathlib import Path
from typing import Any

from bench.figures import Figure, Series


class Report:
    """Collects figures; knows what they were taken on and what was left out."""

    def __init__(self, facts: dict[str, str]) -> None:
        self.facts = facts
        self.figures: list[Figure] = []
        self.notes: list[str] = []

    def add(self, *figures: Figure) -> None:
        for figure in figures:
            self.figures.append(figure)
            print("  " + " · ".join(filled(cells(figure))), flush=True)

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(f"  note: {text}", flush=True)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.md").write_text(self.markdown())
        (folder / "results.json").write_text(json.dumps(self.as_json(), indent=2) + "\n")

    def markdown(self) -> str:
        header = ["Measured", "Lakeport", "Peer", "Ratio", "Wanted"]
        table = [header, ["---"] * len(header), *map(cells, self.figures)]
        lines = [f"- {name}: {value}" for name, value in self.facts.items()]
        lines += ["", *(f"| {' | '.join(row)} |" for row in table), ""]
        lines += [
            "Medians, with the lowest and the highest run in parentheses. Contestants take turns; a"
            " ratio is the median of the rounds' ratios.",
            "",
        ]
        lines += [f"- {note}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, Any]:
        return {
            "facts": self.facts,
            "figures": [as_json(figure) for figure in self.figures],
            "notes": self.notes,
        }


def cells(figure: Figure) -> list[str]:
    return [
        f"{figure.what}, {figure.unit}",
        shown(figure.ours),
        f"{figure.peer.who}: {shown(figure.peer)}" if figure.peer else "",
        ratio(figure),
        wanted(figure),
    ]


def filled(texts: list[str]) -> list[str]:
    return [text for text in texts if text]


def shown(series: Series) -> str:
    low, high = series.spread
    return f"{number(series.median)} ({number(low)} to {number(high)})"


def number(value: float) -> str:
    """Three digits at least, and no digits after the point where there are enough before it."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def ratio(figure: Figure) -> str:
    if figure.ratios is None:
        return ""
    low, high = figure.ratios.spread
    return f"**{figure.ratios.median:.2f}** ({low:.2f} to {high:.2f})"


def wanted(figure: Figure) -> str:
    if figure.wanted is None:
        return ""
    return f"{figure.wanted}: {'met' if figure.is_met else '**missed**'}"


def as_json(figure: Figure) -> dict[str, Any]:
    return {
        "what": figure.what,
        "unit": figure.unit,
        "lakeport": series_as_json(figure.ours),
        "peer": series_as_json(figure.peer) if figure.peer else None,
        "ratio": series_as_json(figure.ratios) if figure.ratios else None,
        "wanted": str(figure.wanted) if figure.wanted else None,
        "met": figure.is_met,
    }


def series_as_json(series: Series) -> dict[str, Any]:
    low, high = series.spread
    return {
        "who": series.who,
        "median": series.median,
        "min": low,
        "max": high,
        "runs": series.values,
    }
