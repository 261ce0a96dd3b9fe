"""The model card: what a network is for, how good it is, and what nobody knows about it."""

import re

from facialnet.evaluation.report.content import Report
from facialnet.evaluation.report.page import templates


def model_card(report: Report) -> str:
    """Return a model card in Markdown, one after another where there are several setups."""
    card = templates(markup=False).get_template("card.md.j2")
    parts = [card.render(report=report, detail=detail) for detail in report.details]
    cards = [re.sub(r"\n{3,}", "\n\n", part.strip()) for part in parts]
    if report.which:
        cards.insert(0, f"> {report.which}.")
    return "\n\n---\n\n".join(cards) + "\n"
