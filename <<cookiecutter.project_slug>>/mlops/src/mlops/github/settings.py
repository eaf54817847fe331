"""`.github/settings.yaml`, typed: what GitHub is to be told, in GitHub's own words.

What the file does not name is left alone, so each key may be missing.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ..config.section import Section
from ..files import load

SETTINGS = Path(".github/settings.yaml")

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,100}$")]
Branch = Annotated[str, Field(min_length=1)]
Owner = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+(/[A-Za-z0-9_.-]+)?$")]
Variables = dict[
    Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")],
    Annotated[str, Field(min_length=1)] | None,
]


class Repository(Section):
    """Switches of the repository."""

    allow_auto_merge: bool = False
    allow_merge_commit: bool = False
    allow_rebase_merge: bool = True
    allow_update_branch: bool = False
    delete_branch_on_merge: bool = False


class Workflows(Section):
    """What the token of a workflow may do when the workflow does not say."""

    default_workflow_permissions: Literal["read", "write"]
    can_approve_pull_request_reviews: bool


class Reviews(Section):
    """Who has to approve a pull request."""

    required_approving_review_count: Annotated[int, Field(ge=0, le=10)]
    require_code_owner_review: bool
    require_last_push_approval: bool
    dismiss_stale_reviews_on_push: bool
    required_review_thread_resolution: bool


class Checks(Section):
    """Which jobs have to have passed; they count only when GitHub Actions says so."""

    strict_required_status_checks_policy: bool
    required_status_checks: Annotated[list[str], Field(min_length=1)]


class Bypass(Section):
    """Somebody to whom the rules do not apply."""

    actor_type: Literal["Integration", "OrganizationAdmin", "RepositoryRole", "Team", "DeployKey"]
    actor_id: int | None
    bypass_mode: Literal["always", "pull_request"]


class Ruleset(Section):
    """Rules for branches."""

    branches: Annotated[list[Branch], Field(min_length=1)]
    bypass_actors: list[Bypass]
    forbid: list[Literal["creation", "deletion", "non_fast_forward"]]
    pull_request: Reviews | None = None
    required_status_checks: Checks | None = None


class Environment(Section):
    """An environment of workflows.

    Attributes:
        branches: from which jobs may use it; None leaves it as it is.
        reviewers: who approves such a job, each a user or organisation/team; None as above.
        variables: as those of the repository.
    """

    branches: Annotated[list[Branch], Field(min_length=1)] | None = None
    reviewers: Annotated[list[Owner], Field(max_length=6)] | None = None
    variables: Annotated[Variables, Field(default_factory=dict)]


class Label(Section):
    """A label of issues and pull requests."""

    color: Annotated[str, Field(pattern="^[0-9a-f]{6}$")]
    description: Annotated[str, Field(max_length=100)]


class Settings(Section):
    """The whole file.

    Attributes:
        variables: those of the repository; None for what a person sets, or not.
    """

    repository: Annotated[Repository, Field(default_factory=Repository)]
    workflows: Workflows | None = None
    rulesets: Annotated[dict[str, Ruleset], Field(default_factory=dict)]
    environments: Annotated[dict[Name, Environment], Field(default_factory=dict)]
    labels: Annotated[dict[str, Label], Field(default_factory=dict)]
    variables: Annotated[Variables, Field(default_factory=dict)]


def load_settings(path: Path = SETTINGS) -> Settings:
    """Read and check the file. Raises InputError, one line a mistake."""
    return load(path, Settings)
