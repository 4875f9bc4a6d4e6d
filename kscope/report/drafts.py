"""Blocks that kscope drafts, for the reader to edit."""

from kscope.model.survey import Finding
from kscope.report.notebook import Block, Step


def of_finding(finding: Finding) -> Block:
    """A finding: its evidence as what is relevant, and the commands that show it, not yet run."""
    steps: dict[str, Step] = {}
    for evidence in finding.evidence:
        if evidence.crash:
            steps.setdefault(evidence.crash, Step(command=evidence.crash, drgn=evidence.drgn))
    relevant = [f"- {evidence.label}: {evidence.text}" for evidence in finding.evidence]
    if finding.disproof:
        relevant += ["", f"It would be disproved by: {finding.disproof}"]
    return Block(
        question=_without_links(f"{finding.title}\n\n{finding.explanation}".strip()),
        steps=tuple(steps.values()),
        relevant=_without_links("\n".join(relevant)),
    )


def _without_links(text: str) -> str:
    """Text in which names from the dump stand, as Markdown that links to nothing."""
    return text.replace("](", "]\\(")
