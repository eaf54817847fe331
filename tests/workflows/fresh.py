"""A repository that somebody makes with `gh repo create`, with the settings it then has on GitHub:
workflows may not open pull requests, and there are no environments, rules or labels."""

from __future__ import annotations

from dataclasses import dataclass

from github.hub import MISSING, Hub
from workflows.github import BOT, Answer, Call
from workflows.hosting import Hosting

NOT_PERMITTED = "GitHub Actions is not permitted to create or approve pull requests."


@dataclass
class Fresh(Hub, Hosting):
    """It, with its settings and its pull requests.

    Attributes:
        made: whether somebody made it.
    """

    made: bool = False

    @property
    def default_branch(self) -> str:
        """The one that was pushed first, unless somebody chose another."""
        head = self._git("symbolic-ref", "--short", "HEAD").stdout.strip()
        branches = self._git("for-each-ref", "--format=%(refname:short)", "refs/heads").stdout
        return head if head in branches.split() or not branches else branches.split()[0]

    def answer(self, call: Call) -> Answer:
        """Answer a request as GitHub does."""
        if not self.made and call.path.startswith("/repos/"):
            self.calls.append(call)
            return MISSING
        return super().answer(call)

    def _owner(self, call: Call, kind: str, *names: str) -> Answer:
        if (kind, *names) == ("users", self.repository.partition("/")[0]):
            return 200, {"login": names[0], "id": 1, "node_id": "O_1", "type": "Organization"}
        return super()._owner(call, kind, *names)

    def _get_settings(self, call: Call) -> Answer:
        status, found = super()._get_settings(call)
        visibility = "private" if self.private else "public"
        return status, found | {"visibility": visibility, "default_branch": self.default_branch}

    def _patch_settings(self, call: Call) -> Answer:
        if branch := call.body.get("default_branch"):
            self._git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        return super()._patch_settings(call)

    def _open_pull(self, call: Call) -> Answer:
        if call.login == BOT and not self.workflows["can_approve_pull_request_reviews"]:
            return 403, {"message": NOT_PERMITTED}
        return super()._open_pull(call)

    def _graphql(self, call: Call) -> Answer:
        """Answer what `gh repo create` and `gh repo edit` ask besides."""
        owner, _, name = self.repository.partition("/")
        if "createRepository" in call.body["query"]:
            self.made = True
            self.private = call.body["variables"]["input"]["visibility"] == "PRIVATE"
            url = f"https://github.com/{self.repository}"
            about = {"id": "R_1", "name": name, "owner": {"login": owner}, "url": url}
            return 200, {"data": {"createRepository": {"repository": about}}}
        return super()._graphql(call)
