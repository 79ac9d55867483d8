"""Command `doctor`: its findings and remedies, without the key."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parallel_integrations._cli import doctor
from parallel_integrations._cli.commands import app
from parallel_integrations._cli.doctor import Finding, examine
from parallel_integrations._install import install_command
from parallel_integrations.sandbox import Sandbox
from tests.support.raw_server import RawServer, Talk


def findings_by_status(**options: bool) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in examine(**options):
        found.setdefault(finding.status, []).append(finding)
    return found


def only(findings: list[Finding]) -> str:
    [finding] = findings
    return str(finding)


@pytest.fixture(autouse=True)
def no_foreign_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in doctor.FOREIGN_CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_doctor_makes_one_cheap_search_if_nothing_fails(at_sandbox: Sandbox) -> None:
    findings = list(examine())
    lines = [str(finding) for finding in findings]
    assert not {finding.status for finding in findings} & {"warn", "fail"}
    assert any("langchain-core" in line for line in lines)
    assert any("llama-index-core" in line for line in lines)
    assert "0.001 USD" in lines[-2]
    assert "the search succeeded" in lines[-1]
    assert at_sandbox.ledger.usd == pytest.approx(0.001)
    assert at_sandbox.ledger.count("search") == 1
    assert not any(at_sandbox.api_key in line for line in lines)


def test_doctor_names_the_price_before_it_pays(at_sandbox: Sandbox) -> None:
    for finding in examine():
        if finding.status == "note":
            assert "0.001 USD" in finding.what
            assert at_sandbox.ledger.usd == 0
            break
    else:
        pytest.fail("no price was named")


def test_doctor_names_each_package_once(at_sandbox: Sandbox) -> None:
    lines = [str(finding) for finding in examine(offline=True)]
    assert len(lines) == len(set(lines))


def test_doctor_offline_sends_nothing(at_sandbox: Sandbox) -> None:
    found = findings_by_status(offline=True)
    assert "--offline" in str(found["skip"][-1])
    assert list(at_sandbox.requests) == []


def test_doctor_without_a_key_names_the_platform_and_pays_nothing(
    at_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARALLEL_API_KEY")
    found = findings_by_status()
    assert "https://platform.parallel.ai" in only(found["warn"])
    assert "parallel-integrations sandbox" in str(found["skip"][-1])
    assert "fail" not in found
    assert at_sandbox.ledger.usd == 0
    assert [request.headers.get("x-api-key") for request in at_sandbox.requests] == [None]


def test_a_mistyped_name_of_the_key_is_recognised(
    at_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARALLEL_API_KEY")
    monkeypatch.setenv("PARALLEL_APIKEY", "the-secret")
    line = only(findings_by_status(offline=True)["warn"])
    assert "rename PARALLEL_APIKEY" in line
    assert "the-secret" not in line


def test_a_malformed_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLEL_API_KEY", "se cret")
    line = only(findings_by_status(offline=True)["fail"])
    assert "PARALLEL_API_KEY holds blanks" in line
    assert "se cret" not in line


def test_doctor_names_the_remedy_for_a_wrong_key(
    at_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARALLEL_API_KEY", "wrong-key")
    line = only(findings_by_status()["fail"])
    assert "AuthenticationError: 401" in line
    assert "Check PARALLEL_API_KEY" in line
    assert "wrong-key" not in line


@pytest.mark.parametrize(
    ("base_url", "status", "text"),
    [
        ("https://api.parallel.ai", "ok", "the live API, directly"),
        ("https://api.parallel.ai/v1", "fail", "give 'https://api.parallel.ai'"),
        ("https://docs.parallel.ai", "fail", "is a website"),
        ("http://api.parallel.ai", "fail", "use https"),
        ("api.parallel.ai", "fail", "not an http(s) URL"),
        ("https://proxy.example/parallel", "warn", "unset PARALLEL_BASE_URL if you mean"),
        ("https://gateway.ai.cloudflare.com/v1/a/g/parallel", "fail", "CloudflareGateway("),
        ("https://search.parallel.ai/mcp", "fail", "route=SearchMcp()"),
    ],
)
def test_doctor_checks_the_base_url(
    base_url: str, status: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARALLEL_API_KEY", "some-key")
    monkeypatch.setenv("PARALLEL_BASE_URL", base_url)
    found = findings_by_status(offline=True)
    assert any(text in str(finding) for finding in found[status])
    assert ("fail" in found) == (status == "fail")


def test_a_proxy_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pass-word@proxy.example:8080")
    lines = [str(finding) for finding in findings_by_status(offline=True)["ok"]]
    assert any("through the proxy proxy.example:8080" in line for line in lines)
    assert not any("pass-word" in line for line in lines)
    monkeypatch.setenv("NO_PROXY", "api.parallel.ai")
    assert any("NO_PROXY" in str(finding) for finding in findings_by_status(offline=True)["ok"])


@pytest.mark.parametrize("proxy", ["http://proxy.example:port", "gopher://user:pass-word@h:1"])
def test_doctor_fails_for_an_impossible_proxy(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    line = only(findings_by_status(offline=True)["fail"])
    assert "HTTPS_PROXY" in line
    assert "pass-word" not in line


def test_doctor_checks_the_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    assert "SSL_CERT_FILE" in only(findings_by_status(offline=True)["fail"])
    (tmp_path / "none.pem").write_text("no certificate")
    assert "PEM" in only(findings_by_status(offline=True)["fail"])
    with Sandbox() as sandbox:  # on this machine, none are needed
        monkeypatch.setenv("PARALLEL_BASE_URL", sandbox.url)
        monkeypatch.setenv("PARALLEL_API_KEY", sandbox.api_key)
        assert "fail" not in findings_by_status()
    monkeypatch.delenv("PARALLEL_BASE_URL")
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/company.pem")
    monkeypatch.setenv("PARALLEL_API_KEY", "some-key")
    assert "REQUESTS_CA_BUNDLE" in only(findings_by_status(offline=True)["warn"])


@contextmanager
def server_clock(off: timedelta, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def serve(talk: Talk, request: bytes) -> None:
        date = format_datetime(datetime.now(UTC) + off, usegmt=True)
        talk.respond(b"{}", headers=(f"date: {date}",))

    with RawServer(serve) as server:
        monkeypatch.setenv("PARALLEL_BASE_URL", server.url)
        yield


@pytest.mark.parametrize(
    ("minutes", "status", "text"),
    [
        (0, "ok", "clock agrees"),
        (2, "warn", "behind the server's"),
        (10, "fail", "signatures of webhooks are refused"),
        (-10, "fail", "ahead of the server's"),
    ],
)
def test_doctor_checks_the_clock(
    minutes: int, status: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_clock(timedelta(minutes=minutes), monkeypatch):
        found = findings_by_status()
    assert any(text in str(finding) for finding in found[status])


def test_doctor_fails_where_the_address_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox() as gone:
        url = gone.url
    monkeypatch.setenv("PARALLEL_API_KEY", "some-key")
    monkeypatch.setenv("PARALLEL_BASE_URL", url)
    found = findings_by_status()
    assert "cannot be reached" in only(found["fail"])
    assert "note" not in found


def test_doctor_checks_versions_and_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "llama-index-core":
            raise doctor.PackageNotFoundError(name)
        return {"langchain-core": "1.0.0"}.get(name, real(name))

    real = doctor.version
    monkeypatch.setattr(doctor, "version", version)
    found = findings_by_status(offline=True)
    assert "langchain-core 1.0.0 is outside" in only(found["fail"])
    assert "pip install 'langchain-core" in only(found["fail"])
    assert install_command("llama-index") in str(found["skip"][0])


@pytest.mark.parametrize(("key", "status"), [("sandbox-key", 0), ("wrong-key", 1)])
def test_the_exit_status_of_doctor_is_1_if_a_check_failed(
    key: str, status: int, sandbox: Sandbox
) -> None:
    environment = {"PARALLEL_API_KEY": key, "PARALLEL_BASE_URL": sandbox.url}
    done = CliRunner().invoke(app, ["doctor"], env=environment)
    assert done.exit_code == status, done.stdout + done.stderr
    assert "ok    parallel-integrations 0." in done.stdout
    assert done.exception is None or isinstance(done.exception, SystemExit)


def test_the_host_in_europe_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLEL_BASE_URL", "https://eu.parallel.ai")
    found = findings_by_status(offline=True)
    assert any("search and extract only" in str(each) for each in found["ok"])


def test_without_a_key_the_steps_are_named(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARALLEL_BASE_URL", sandbox.url)
    [skipped] = [each for each in findings_by_status()["skip"] if "live call" in each.what]
    for step in ("demo --web", "SearchMcp()", "sandbox", "PARALLEL_API_KEY"):
        assert step in skipped.remedy
