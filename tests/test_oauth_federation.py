"""Workloads log in with tokens of trusted issuers, which are exchanged by federation policies."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from databricks.sdk import AccountClient
from databricks.sdk.service.oauth2 import FederationPolicy, OidcFederationPolicy

from kit.api import Api
from kit.clients import go_client, java_client, run
from kit.identities import SCIM, Machine, machine, patch, principal
from kit.issuer import OPENID, Issuer, Key
from kit.names import unique
from kit.server import REPO, Server
from kit.waiting import eventually

VENVS = REPO / "target" / "venv"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


@pytest.fixture(scope="module")
def issuers() -> Iterator[list[Issuer]]:
    """Trusted ones: the first behaves, each other is for one test to break."""
    serving = [Issuer() for _ in range(8)]
    yield serving
    for issuer in serving:
        issuer.close()


@pytest.fixture(scope="module")
def issuer(issuers: list[Issuer]) -> Issuer:
    return issuers[0]


@pytest.fixture(scope="module")
def trusting(
    issuers: list[Issuer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    config = tmp_path_factory.mktemp("federation") / "lakeport.toml"
    table = '[[trusted_issuers]]\nurl = "{}"\naudiences = ["lakeport"]\n'
    config.write_text("".join(table.format(issuer.url) for issuer in issuers))
    server = Server("--config", str(config))
    try:
        yield server.start()
    finally:
        server.close()


@dataclass
class Federation:
    """The policies of a server over raw HTTP, and exchanges by them."""

    api: Api

    @property
    def account(self) -> str:
        found = requests.get(f"{self.api.url}/.well-known/databricks-config", timeout=30).json()
        return found["account_id"]

    def path(self, job: Machine | None) -> str:
        of = f"/servicePrincipals/{job.id}" if job else ""
        return f"/api/2.0/accounts/{self.account}{of}/federationPolicies"

    def allow(self, job: Machine | None, issuer: Issuer, **oidc: Any) -> dict[str, Any]:
        subject = {"subject": "job"} if job else {}
        policy = {"issuer": issuer.url} | subject | oidc
        return self.api.ok("POST", self.path(job), {"oidc_policy": policy})

    def exchange(self, token: str, job: Machine | None = None, **form: str) -> requests.Response:
        asked = {"grant_type": TOKEN_EXCHANGE, "subject_token": token, "subject_token_type": JWT}
        client = {"client_id": job.client_id} if job else {}
        form = {k: v for k, v in (asked | client | form).items() if v != ""}
        return requests.post(f"{self.api.url}/oidc/v1/token", data=form, timeout=30)

    def granted(self, token: str, job: Machine | None = None) -> Api:
        answer = self.exchange(token, job)
        assert answer.status_code == 200, answer.text
        return Api(self.api.url, answer.json()["access_token"])

    def refused(self, token: str, job: Machine | None = None, **form: str) -> str:
        answer = self.exchange(token, job, **form)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"] == "invalid_request"
        return answer.json()["error_description"]


@pytest.fixture
def federation(trusting: Server) -> Federation:
    return Federation(Api(trusting.http, trusting.token))


@pytest.fixture
def job(federation: Federation) -> Iterator[Machine]:
    with machine(federation.api) as job:
        yield job


def python_client(environment: str) -> Callable[[], list[str]]:
    script = (
        "from databricks.sdk import WorkspaceClient as W; w = W();"
        "print(w.config.auth_type, w.current_user.me().user_name); print('ok')"
    )
    return lambda: [str(VENVS / environment / "bin" / "python"), "-c", script]


@pytest.mark.parametrize(
    "client",
    [*map(python_client, ("sdk-0.61.0", "sdk-0.81.0", "kit")), go_client, java_client],
    ids=["python-0.61.0", "python-0.81.0", "python-newest", "go", "java"],
)
def test_workloads_log_in_through_every_sdk(
    trusting: Server,
    federation: Federation,
    issuer: Issuer,
    job: Machine,
    client: Callable[[], list[str]],
    tmp_path: Path,
) -> None:
    federation.allow(job, issuer)
    settings = {
        "DATABRICKS_HOST": trusting.http,
        "DATABRICKS_CLIENT_ID": job.client_id,
        "DATABRICKS_AUTH_TYPE": "env-oidc",
        "DATABRICKS_OIDC_TOKEN": issuer.token(),
    }
    command = [*client(), *(["who"] if client in (go_client, java_client) else [])]
    assert run(command, settings, tmp_path) == [f"env-oidc {job.client_id}"]


def test_policies_through_the_account_client(
    trusting: Server, federation: Federation, issuer: Issuer, job: Machine
) -> None:
    account = AccountClient(
        host=trusting.http, account_id=federation.account, token=trusting.token
    )
    policies = account.service_principal_federation_policy
    oidc = OidcFederationPolicy(issuer=issuer.url, audiences=["a", "b"], subject="repo:x")
    made = policies.create(
        int(job.id), FederationPolicy(oidc_policy=oidc, description="CI"), policy_id="ci"
    )
    assert (made.policy_id, made.service_principal_id) == ("ci", int(job.id))
    assert made.name.endswith(f"/servicePrincipals/{job.id}/federationPolicies/ci")
    assert made.oidc_policy.subject_claim is None and made.uid and made.create_time
    got = policies.get(int(job.id), "ci")
    assert got.oidc_policy.audiences == ["a", "b"]
    changed = policies.update(
        int(job.id),
        "ci",
        FederationPolicy(oidc_policy=OidcFederationPolicy(subject="repo:y")),
        update_mask="oidc_policy.subject",
    )
    assert changed.oidc_policy.subject == "repo:y" and changed.description == "CI"
    wiped = policies.update(
        int(job.id), "ci", FederationPolicy(), update_mask="description,oidc_policy.audiences"
    )
    assert (wiped.description, wiped.oidc_policy.audiences) == (None, None)
    assert wiped.oidc_policy.subject == "repo:y"
    assert [p.policy_id for p in policies.list(int(job.id))] == ["ci"]
    policies.delete(int(job.id), "ci")
    assert not list(policies.list(int(job.id)))
    assert not list(account.federation_policy.list())


def test_policies_are_checked(federation: Federation, issuer: Issuer, job: Machine) -> None:
    api = federation.api
    right = {"issuer": issuer.url, "subject": "job"}
    for path, body, field in [
        (federation.path(job), right | {"issuer": "https://evil.example"}, "issuer"),
        (federation.path(job), right | {"issuer": issuer.url + "/"}, "issuer"),
        (federation.path(job), {"issuer": issuer.url}, "subject"),
        (federation.path(job), right | {"subject": ""}, "subject"),
        (federation.path(None), right, "subject"),
        (federation.path(job), right | {"audiences": [""]}, "audiences"),
        (federation.path(job), right | {"audiences": ["a"] * 21}, "audiences"),
        (federation.path(job), right | {"jwks_uri": "http://169.254.169.254/"}, "jwks_uri"),
        (federation.path(job), right | {"jwks_json": "{}"}, "jwks_json"),
        (federation.path(job), right | {"issuers": "x"}, "issuers"),
    ]:
        refusal = api.refused(400, "POST", path, {"oidc_policy": body})
        assert field in refusal.message, refusal
    own = federation.path(job)
    for id in ("A", "a/b", "x" * 64):
        api.refused(400, "POST", own, {"oidc_policy": right, "policy_id": id})
    api.ok("POST", own, {"oidc_policy": right, "policy_id": "one"})
    again = api.refused(409, "POST", own, {"oidc_policy": right, "policy_id": "one"})
    assert "already exists" in again.message
    mask = api.send("PATCH", f"{own}/one", {}, update_mask="uid")
    assert mask.status_code == 400 and "update_mask" in mask.text
    api.refused(404, "GET", f"{own}/two")
    api.refused(404, "DELETE", f"{own}/two")
    api.refused(404, "GET", own.replace(federation.account, "other"))
    api.refused(404, "GET", own.replace(f"/{job.id}/", "/0/"))
    for _ in range(19):
        federation.allow(job, issuer)
    assert "20" in api.refused(400, "POST", own, {"oidc_policy": right}).message


def test_only_administrators_write_policies(
    federation: Federation, issuer: Issuer, job: Machine
) -> None:
    federation.allow(job, issuer)
    own = federation.granted(issuer.token(), job)
    for path in (federation.path(job), federation.path(None)):
        own.refused(403, "POST", path, {"oidc_policy": {"issuer": issuer.url}})
        own.refused(403, "GET", path)


def test_a_token_opens_what_its_policy_says(
    federation: Federation, issuer: Issuer, issuers: list[Issuer], job: Machine
) -> None:
    assert "federation policy" in federation.refused(issuer.token(), job)
    federation.allow(job, issuer)
    assert federation.granted(issuer.token(), job).user_name() == job.client_id
    assert federation.granted(issuer.token(aud=["x", "lakeport"]), job)
    with machine(federation.api) as other:
        federation.allow(other, issuer, audiences=["special"], subject_claim="job", subject="7")
        special = issuer.token(aud="special", job="7")
        assert federation.granted(special, other).user_name() == other.client_id
        for token in (
            issuer.token(),
            issuer.token(aud="special"),
            issuer.token(job="7"),
            issuer.token(aud="special", job="8"),
            issuer.token(aud="special", job=7),
        ):
            federation.refused(token, other)
    # Another issuer's word for the same subject is worth nothing; nor is it for nobody, or somebody else.
    federation.refused(issuers[-1].token(), job)
    federation.refused(issuer.token())
    federation.refused(issuer.token(), client_id=federation.api.user_name())
    federation.refused(issuer.token(), client_id="00000000-0000-0000-0000-000000000000")
    federation.refused(issuer.token(sub="other"), job)
    federation.refused(issuer.token(sub=None), job)


def test_people_by_a_policy_of_the_account(federation: Federation, issuer: Issuer) -> None:
    name = f"{unique('p')}@example.com"
    with principal(federation.api, "Users", userName=name) as person:
        policy = federation.allow(None, issuer, subject_claim="email")
        try:
            token = issuer.token(email=name)
            assert federation.granted(token).user_name() == name
            federation.refused(issuer.token(email="nobody@example.com"))
            federation.refused(issuer.token(email="admins"))
            patch(
                federation.api,
                f"Users/{person['id']}",
                {"op": "replace", "path": "active", "value": False},
            )
            federation.refused(token)
        finally:
            federation.api.ok("DELETE", f"{federation.path(None)}/{policy['policy_id']}")


def test_what_came_of_a_policy_ends_with_it(
    federation: Federation, issuer: Issuer, job: Machine
) -> None:
    policy = federation.allow(job, issuer)
    own = federation.granted(issuer.token(), job)
    assert own.send("GET", f"{SCIM}/Me").status_code == 200
    federation.api.ok("DELETE", f"{federation.path(job)}/{policy['policy_id']}")
    assert own.send("GET", f"{SCIM}/Me").status_code == 401
    federation.refused(issuer.token(), job)


def test_what_came_of_a_policy_ends_when_it_means_somebody_else(
    federation: Federation, issuer: Issuer, job: Machine
) -> None:
    policy = federation.allow(job, issuer)
    path = f"{federation.path(job)}/{policy['policy_id']}"
    own = federation.granted(issuer.token(), job)
    federation.api.ok("PATCH", path, {"description": "nightly"}, update_mask="description")
    assert own.send("GET", f"{SCIM}/Me").status_code == 200
    oidc = policy["oidc_policy"] | {"subject": "another job"}
    federation.api.ok("PATCH", path, {"oidc_policy": oidc}, update_mask="oidc_policy")
    assert own.send("GET", f"{SCIM}/Me").status_code == 401
    federation.refused(issuer.token(), job)


def test_every_usual_algorithm_is_understood(
    federation: Federation, issuer: Issuer, job: Machine
) -> None:
    federation.allow(job, issuer)
    keys = [Key(algorithm) for algorithm in ("RS256", "PS384", "ES256", "ES384", "EdDSA")]
    issuer.publish(issuer.key, *keys)
    # A new key is looked for, but not more often than every few seconds.
    eventually(
        lambda: federation.exchange(issuer.token(keys[0]), job).status_code,
        "the new keys are found",
        until=lambda status: status == 200,
    )
    for key in keys:
        assert federation.granted(issuer.token(key), job), key.algorithm


def test_bad_tokens_are_refused(federation: Federation, issuer: Issuer, job: Machine) -> None:
    federation.allow(job, issuer)
    now = issuer.claims()["iat"]
    good = issuer.token()
    header, body, signature = good.split(".")
    stranger = Key(kid=issuer.key.kid)
    shared = issuer.key.public["x"].encode()
    other_body = jwt.encode(issuer.claims(sub="other"), stranger.private, "ES256").split(".")[1]
    bad = [
        "x",
        "a.b.c",
        f"{header}.{body}.",
        f"{header}.{other_body}.{signature}",
        "x" * 20_000,
        good + "x" * 20_000,
        issuer.token(stranger),
        issuer.token(Key()),
        issuer.token(headers={"kid": "unknown"}),
        issuer.token(headers={"crit": ["b64"], "b64": True}),
        jwt.encode(issuer.claims(), None, "none", headers={"kid": issuer.key.kid}),
        jwt.encode(issuer.claims(), shared, "HS256", headers={"kid": issuer.key.kid}),
        issuer.token(exp=now - 120),
        issuer.token(exp=None),
        issuer.token(exp="soon"),
        issuer.token(nbf=now + 600),
        issuer.token(iat=now + 600),
        issuer.token(aud=None),
        issuer.token(aud="other"),
        issuer.token(aud=[]),
        issuer.token(iss="https://evil.example"),
        issuer.token(iss=issuer.url + "/"),
        issuer.token(iss=None),
        # Our own tokens are nobody's proof here.
        federation.granted(good, job).token,
        federation.api.token,
    ]
    for token in bad:
        text = federation.refused(token, job)
        assert text.startswith("subject_token: ") and token not in text
    assert federation.granted(good, job)


def test_malformed_exchanges_are_refused(
    federation: Federation, issuer: Issuer, job: Machine
) -> None:
    federation.allow(job, issuer)
    good = issuer.token()
    for form, parameter in [
        ({"subject_token": ""}, "subject_token"),
        ({"subject_token_type": ""}, "subject_token_type"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "subject_token_type"),
        ({"requested_token_type": JWT}, "requested_token_type"),
        ({"client_secret": job.secret}, "client_secret"),
        ({"actor_token": "x"}, "actor_token"),
        ({"assume_group": "1"}, "assume_group"),
    ]:
        assert parameter in federation.refused(good, job, **form)
    scope = federation.exchange(good, job, scope="root")
    assert (scope.status_code, scope.json()["error"]) == (400, "invalid_scope")
    twice = requests.post(
        f"{federation.api.url}/oidc/v1/token",
        data=[("grant_type", TOKEN_EXCHANGE)] + 2 * [("subject_token", good)],
        timeout=30,
    )
    assert twice.status_code == 400


def test_an_issuer_is_asked_seldom_whatever_comes(
    federation: Federation, issuer: Issuer, job: Machine
) -> None:
    federation.allow(job, issuer)
    before = issuer.asked.total()
    for _ in range(60):
        federation.refused(issuer.token(headers={"kid": unique("k")}), job)
    # One look is two requests; one every five seconds.
    assert issuer.asked.total() - before <= 8


def test_odd_answers_of_an_issuer_are_not_believed(
    federation: Federation, issuers: list[Issuer], job: Machine
) -> None:
    good, *odd = issuers[:7]

    def discovery(serving: Issuer, **changed: str) -> None:
        page = {"issuer": serving.url, "jwks_uri": f"{serving.url}/jwks"}
        serving.page(OPENID, page | changed)

    odd[0].page(OPENID, {}, status=500)
    odd[1].page(OPENID, b"", status=302, Location=f"{good.url}{OPENID}")
    discovery(odd[2], issuer=good.url)
    discovery(odd[3], jwks_uri="file:///etc/passwd")
    odd[4].page("/jwks", b"x" * 600_000)
    odd[5].page("/jwks", {"keys": [odd[5].key.public] * 65})
    for issuer in odd:
        federation.allow(job, issuer)
        for _ in range(2):
            answer = federation.exchange(issuer.token(), job)
            assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        assert issuer.asked[OPENID] == 1, "a failure is not repeated at once"

    # What was wrong once may be right later, and from then on the issuer may be away for a while.
    odd[5].publish(odd[5].key)
    eventually(
        lambda: federation.exchange(odd[5].token(), job).status_code,
        "the issuer is believed",
        until=lambda status: status == 200,
    )
    odd[5].pages.clear()
    assert federation.granted(odd[5].token(), job)
