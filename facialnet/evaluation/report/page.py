"""The report as one HTML file that needs nothing else."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from facialnet.evaluation.report import text
from facialnet.evaluation.report.content import Report
from facialnet.evaluation.report.facts import group_words
from facialnet.evaluation.report.measured import Score
from facialnet.evaluation.report.pairs import COST_NAMES

_HERE = Path(__file__).parent


def html(report: Report) -> str:
    """Return the page: styles, charts and pictures inside, no script, nothing from elsewhere."""
    environment = templates(markup=True)
    page = environment.get_template("page.html.j2")
    style = (_HERE / "style.css").read_text(encoding="utf-8")
    content = page.render(report=report, style=style, cost_names=COST_NAMES)
    return content.lstrip().replace(" %", "&nbsp;%")  # a figure and its sign stay on one line


def templates(*, markup: bool) -> Environment:
    """Return the environment of this folder's templates, with the filters that write figures.

    Args:
        markup: whether they write HTML, where everything is escaped; else Markdown.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=markup,
        undefined=StrictUndefined,
        trim_blocks=not markup,  # in Markdown a blank line means something
        lstrip_blocks=not markup,
    )
    environment.filters |= {
        "as_score": Score.of,
        "capitalize_first": lambda words: words[:1].upper() + words[1:],
        "cost_value": text.cost_value,
        "count_of": text.count_of,
        "difference": text.difference,
        "ends": text.ends,
        "group_words": group_words,
        "number": text.number,
        "p_value": text.p_value,
        "percent": text.percent,
        "points": text.points,
        "score_name": lambda name: text.SCORE_NAMES.get(name, name),
        "spread": text.spread,
        "tested": text.tested,
        "value": text.value_of,
        "with_ends": text.with_ends,
    }
    return environment
