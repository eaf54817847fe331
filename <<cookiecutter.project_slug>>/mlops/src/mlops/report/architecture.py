"""The layers of a declared network: in words, and as a picture that is drawn of nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

from ..config.network import Activate, Dense, Dropout, Network, Normalisation, Residual
from ..config.section import Section, Task
from ..printable import shown

WIDTH, LINE, PAD, GAP = 250, 19, 8, 20
# Between the lines that lead around a residual block and the one within it.
AROUND = 16
# Embeddings that have a line of their own.
EMBEDDINGS = 6
NAME = 24
# Around a picture that has a page of its own.
MARGIN = 16
OUTPUTS = {"classification": "output: a score for each class", "regression": "output: a number"}


@dataclass(frozen=True)
class Colours:
    """Of a picture, as CSS has them."""

    text: str
    fill: str
    line: str
    main: str
    page: str | None = None


# What a page says of itself, light or dark; and of pictures for light pages and for dark ones.
OF_PAGE = Colours("var(--text)", "var(--page)", "var(--soft)", "var(--main)")
LIGHT = Colours("#24292f", "#f6f8fa", "#8c959f", "#0969da", "white")
DARK = Colours("#f0f6fc", "#151b23", "#9198a1", "#58a6ff", "#0d1117")


def words(network: Network) -> str:
    """The layers in a line: `dense 64 relu → dropout 0.1 → output`."""
    begin = [f"{name} as {size} numbers" for name, size in network.embeddings.items()]
    return " → ".join(["inputs", *begin, *_words(network.layers), "output"])


def _words(layers: Sequence[Section]) -> Iterator[str]:
    for layer in layers:
        if isinstance(layer, Residual):
            yield f"({' → '.join(_words(layer.residual))} + what it takes)"
        else:
            yield told(layer)


def told(layer: Section) -> str:
    """A layer that has no others in it, in words."""
    match layer:
        case Dense():
            return f"dense {layer.dense}" + (f" {layer.activation}" if layer.activation else "")
        case Activate():
            return layer.activation
        case Dropout():
            return f"dropout {layer.dropout:g}"
        case Normalisation():
            return f"{layer.normalisation} normalisation"
    raise AssertionError(layer)


def picture(network: Network, task: Task, colours: Colours = OF_PAGE) -> str:
    """The layers from top to bottom, as SVG that needs nothing else.

    Args:
        network: as declared, or as a search chose it.
        task: decides what the last layer says.
        colours: of the page that it stands on.
    """
    depth = _depth(network.layers)
    drawing = _Drawing(AROUND * (depth + 1) + WIDTH / 2 + 1, colours)
    names = [*network.embeddings.items()]
    lines = [
        "inputs",
        *(f"{shown(name, NAME)}: {size} learned" for name, size in names[:EMBEDDINGS]),
    ]
    if len(names) > EMBEDDINGS:
        lines.append(f"and {len(names) - EMBEDDINGS} more embeddings")
    drawing.box(lines, is_main=True)
    drawing.layers(network.layers)
    drawing.box([OUTPUTS[task]], is_main=True)
    width, height = drawing.middle + WIDTH / 2 + 1, drawing.y + 1
    margin = MARGIN if colours.page else 0
    box = f"{-margin} {-margin} {width + 2 * margin:g} {height + 2 * margin:g}"
    label = escape(f"A network: {words(network)}", quote=True)
    back = (
        f'<rect x="{-margin}" y="{-margin}" width="100%" height="100%" fill="{colours.page}"/>'
        if colours.page
        else ""
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 2 * margin:g}" '
        f'height="{height + 2 * margin:g}" viewBox="{box}" role="img" aria-label="{label}" '
        f'font-family="system-ui, sans-serif" font-size="14">{back}{"".join(drawing.parts)}</svg>'
    )


def _depth(layers: Sequence[Section]) -> int:
    """How many residual blocks are within each other."""
    blocks = [layer for layer in layers if isinstance(layer, Residual)]
    return max((1 + _depth(each.residual) for each in blocks), default=0)


@dataclass
class _Drawing:
    """A picture in the making.

    Attributes:
        middle: of all boxes; colours: of all.
        y: where the next one begins, below what there is.
        parts: elements of SVG.
    """

    middle: float
    colours: Colours
    y: float = 1
    parts: list[str] = field(default_factory=list)

    def layers(self, layers: Sequence[Section]) -> None:
        """Draw layers one below the other."""
        for layer in layers:
            if isinstance(layer, Residual):
                self._block(layer)
            else:
                self.box([told(layer)])

    def box(self, lines: list[str], is_main: bool = False) -> None:
        """Draw a box with lines of text in it, and what leads to it."""
        self._down()
        height, edge = (
            LINE * len(lines) + 2 * PAD,
            self.colours.main if is_main else self.colours.line,
        )
        self.parts.append(
            f'<rect x="{self.middle - WIDTH / 2:g}" y="{self.y:g}" width="{WIDTH}" '
            f'height="{height:g}" rx="7" fill="{self.colours.fill}" stroke="{edge}"/>'
        )
        for i, line in enumerate(lines):
            at = self.y + PAD + LINE * (i + 0.75)
            self.parts.append(
                f'<text x="{self.middle:g}" y="{at:g}" text-anchor="middle" '
                f'fill="{self.colours.text}">{escape(line)}</text>'
            )
        self.y += height

    def _block(self, block: Residual) -> None:
        """Draw what is within, and the line around it to where both are added."""
        begin, side = self.y + GAP / 2, WIDTH / 2 + AROUND * (1 + _depth(block.residual)) - 4
        self.layers(block.residual)
        self._down()
        centre = self.y + 10
        self._line(
            f"M{self.middle:g} {begin:g}h{-side:g}V{centre:g}h{side - 10:g}", self.colours.main
        )
        self.parts.append(
            f'<circle cx="{self.middle:g}" cy="{centre:g}" r="10" fill="{self.colours.fill}" '
            f'stroke="{self.colours.main}"/>'
        )
        self._line(
            f"M{self.middle - 5:g} {centre:g}h10m-5 -5v10",
            self.colours.main,
        )
        self.y += 20

    def _down(self) -> None:
        """Lead from what there is to what comes."""
        if self.parts:
            self._line(f"M{self.middle:g} {self.y:g}v{GAP}", self.colours.line)
            self.y += GAP

    def _line(self, path: str, colour: str) -> None:
        self.parts.append(f'<path d="{path}" fill="none" stroke="{colour}"/>')
