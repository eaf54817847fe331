"""`model.yaml`, typed: why the model exists, who answers for it, and what could go wrong.

It may say nothing at all: which part of it must be there, and where, is for an environment's policy
to say (see release.governance).
"""

import json
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from .config.section import Finite, Section
from .files import load, parse
from .paths import STATEMENT

_PLACEHOLDER = re.compile(
    r"[\W_x]*|n/?a|todo.*|tbd.*|fixme.*|to be (filled|done|defined).*|<.*>", re.I
)


def _said(text: str) -> str:
    """Refuse what looks like an answer and is none."""
    if _PLACEHOLDER.fullmatch(text.strip()):
        raise ValueError(f"{text!r:.60} says nothing; leave the key out until there is an answer")
    return text.strip()


Text = Annotated[str, AfterValidator(_said)]
# From 1, rare or small, to 5.
Degree = Annotated[int, Field(ge=1, le=5)]


class Success(Section):
    """By what the business sees that the model is worth having.

    Attributes:
        measure: what is counted, in plain words.
        unit: euros a month, %.
        baseline: its value without the model.
        target: the value that is wanted.
    """

    measure: Text
    unit: Text
    baseline: Finite
    target: Finite

    @model_validator(mode="after")
    def _wants_something(self) -> Self:
        if self.target == self.baseline:
            raise ValueError("`target` is the same as `baseline`: what is the model for?")
        return self


class Teams(Section):
    """Who hands data in, and who uses the answers."""

    supply: Annotated[list[Text], Field(min_length=1)]
    use: Annotated[list[Text], Field(min_length=1)]


class SourceTerms(Section):
    """On which terms a source may be used.

    Attributes:
        licence: its name, or the contract that allows the use.
        personal_data: whether it tells of people: not at all, only with a key that is kept apart,
            by name, or of what the GDPR's article 9 protects specially, as health.
    """

    licence: Text
    personal_data: Literal["none", "pseudonymous", "personal", "special"]


class Risk(Section):
    """What could go wrong, and what is done about it.

    Attributes:
        likelihood, impact: from 1 to 5.
        mitigation: what is done about it.
        owner: who looks after it.
        review: the day on which somebody looks at it again.
    """

    likelihood: Degree
    impact: Degree
    mitigation: Text
    owner: Text
    review: date

    @property
    def weight(self) -> int:
        """Likelihood times impact, from 1 to 25."""
        return self.likelihood * self.impact


class Risks(Section):
    """The four that every model has.

    Attributes:
        outage: it gives no answer.
        wrong_predictions: it gives wrong ones.
        decay: its answers get worse, or unfair, with time.
        lost_knowledge: those who know it leave.
    """

    outage: Risk
    wrong_predictions: Risk
    decay: Risk
    lost_knowledge: Risk


Texts = Annotated[list[Text], Field(min_length=1)]

_LOGIN = re.compile(r"@[A-Za-z0-9][A-Za-z0-9_-]{0,38}")
# Who signs for a release: whoever it is for, and whoever runs it.
Role = Literal["business", "technical"]


def _login(text: str) -> str:
    """A login of GitHub's, without the sign that people write before it."""
    if "/" in text:
        raise ValueError(f"{text!r:.60}: no workflow may look into a team; name its people")
    if not _LOGIN.fullmatch(text):
        raise ValueError(f"{text!r:.60} is no login of GitHub's, as @ada")
    return text.removeprefix("@")


Logins = Annotated[list[Annotated[str, AfterValidator(_login)]], Field(min_length=1)]


class Statement(Section):
    """What the owner says of the model. What is not said is None.

    Attributes:
        problem: what is wrong without the model, in plain words.
        goal: what shall be better with it.
        success: by what that is seen.
        intended, out_of_scope: uses that it is made for, and that it must not be put to.
        limits: where its answers are poor, and whom or what the data leaves out.
        affected: whom its answers touch.
        owner: the person or role that is accountable.
        technical_contact, domain_expert: who knows how it is made, and what it is about.
        deputies: who knows as much when they are away.
        approvers: who signs for releases, by role, as logins of GitHub's. An environment's
            `approvals` ask for it.
        teams: who hands data in, and who uses the answers.
        sources: the terms of each source of params.yaml, by its path.
        regulation: its class in the EU's AI Act (2024/1689).
        retention: how long data, logs and models are kept.
        callers: who asks the servers, by the name that these know them by, and for which of the
            intended uses. An environment has to ask for it by name: not every server knows.
        risks: what could go wrong.
        runbook: what to do when it does: a file of the project, or an address.
    """

    problem: Text | None = None
    goal: Text | None = None
    success: Success | None = None
    intended: Texts | None = None
    out_of_scope: Texts | None = None
    limits: Texts | None = None
    affected: Texts | None = None
    owner: Text | None = None
    technical_contact: Text | None = None
    domain_expert: Text | None = None
    deputies: Texts | None = None
    approvers: dict[Role, Logins] | None = None
    teams: Teams | None = None
    sources: Annotated[dict[str, SourceTerms], Field(min_length=1)] | None = None
    regulation: Literal["minimal", "limited", "high"] | None = None
    retention: Text | None = None
    callers: dict[str, Text] | None = None
    risks: Risks | None = None
    runbook: Text | None = None

    @model_validator(mode="after")
    def _callers_have_an_intended_use(self) -> Self:
        for name, use in (self.callers or {}).items():
            if use not in (self.intended or []):
                raise ValueError(f"callers: {name}: {use!r:.90} is none of `intended`")
        return self

    def reviews(self) -> dict[str, date]:
        """When each risk is to be looked at again, by its name."""
        return {} if self.risks is None else {name: risk.review for name, risk in self.risks}


def load_statement(path: Path = STATEMENT) -> Statement:
    """Read and check model.yaml. Raises InputError, one line a mistake."""
    return load(path, Statement)


def parse_statement(text: str | None) -> Statement:
    """The same of the file's text; one that is not there says nothing."""
    return Statement() if text is None else parse(text, Statement, STATEMENT)


def blank(*sources: str) -> str:
    """The text of a model.yaml that says nothing yet, for a project that takes these sources."""
    named = (json.dumps(each, ensure_ascii=False) for each in sources)
    return _BLANK.replace("TERMS", "".join(_TERMS.replace("SOURCE", each) for each in named))


_TERMS = """\
#   SOURCE:
#     licence: a name, or the contract that allows the use
#     personal_data: none # none, pseudonymous, personal or special (GDPR, article 9)
"""


_BLANK = """\
# Why this model exists, who answers for it, and what could go wrong: for people who never see its
# code. The environments ask for it (`governance` in environments/*/policy.yaml), and `uv run mlops
# status` tells what is missing. Each key, with an example: mlops/docs/governance.md.

problem: null # what is wrong without the model, in plain words
goal: null # what shall be better with it
success: null # {measure: complaints, unit: a week, baseline: 40, target: 25}
intended: null # uses that it is made for: a list
out_of_scope: null # uses that it must not be put to: a list
limits: null # where its answers are poor, and whom or what the data leaves out: a list
affected: null # whom its answers touch: a list

owner: null # who is accountable: a person, or a role
technical_contact: null
domain_expert: null
deputies: null # who knows as much when these are away: a list
approvers: null # who signs for releases on GitHub: {business: ["@ada"], technical: ["@grace"]}
teams: null # {supply: [who hands data in], use: [who uses the answers]}

# sources: # the terms of each source in params.yaml
TERMSregulation: null # its class in the EU's AI Act: minimal, limited or high
retention: null # how long data, logs and models are kept
callers: null # {shop: one of the intended uses}: who asks, as the server's tokens name them

# risks: # likelihood and impact from 1 to 5; review is the day on which somebody looks again
#   outage: # it gives no answer
#     likelihood: 1
#     impact: 1
#     mitigation: what is done about it
#     owner: who looks after it
#     review: 2030-01-31
#   wrong_predictions: ...
#   decay: ... # its answers get worse, or unfair, with time
#   lost_knowledge: ... # those who know it leave
runbook: mlops/docs/on-call.md # what to do when it goes wrong
"""
