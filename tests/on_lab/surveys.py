"""Surveys of the lab's dumps, each made once."""

from functools import cache

from kscope.model.survey import Finding, Survey, SurveyQuery
from kscope.session.answering import answer
from tests.on_lab.opening import open_lab


def surveyed(name: str, series: str, types: str = "btf") -> Survey:
    return _surveyed(name, series, types)


@cache
def _surveyed(name: str, series: str, types: str) -> Survey:
    return answer(open_lab(name, series, types), SurveyQuery())


def of_rule(survey: Survey, rule: str) -> list[Finding]:
    return [finding for finding in survey.findings if finding.rule == rule]
