"""Every command with which a party says something by hand, against a running service."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from api.cli.main import app
from api.client.typed import statements
from ledger.records import registry
from tests.e2e.test_gateway import EVSE, SITE, party_file
from tests.support.rulebook import TERMS
from tests.support.serving import Serving, lay_out

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CSO, FO = "FI-NGC", "FI-AUR"
HOUR_MS = 3_600_000


class Hand:
    """One party at its command line; the last record it wrote is in `record.json`."""

    def __init__(self, party: Path, folder: Path) -> None:
        self._party = party
        self._folder = folder

    def __call__(self, *words: str | dict[str, Any]) -> tuple[int, str]:
        """`site change` and what follows; a record is a file. The exit code, and everything that was printed."""
        said, arguments = [], []
        for word in words:
            if isinstance(word, dict):
                path = self._folder / "record.json"
                path.write_text(json.dumps(word))
                arguments.append(str(path))
            else:
                arguments.append(word)
        groups = {"site", "contract", "delegation", "schedule", "request"}
        at = 2 if arguments[0] in groups else 1
        said = [*arguments[:at], str(self._party), *arguments[at:]]
        result = CliRunner().invoke(app, said)
        assert "Traceback" not in result.output
        return result.exit_code, result.output

    def done(self, *words: str | dict[str, Any]) -> str:
        code, text = self(*words)
        assert code == 0, text
        return text

    def refused(self, *words: str | dict[str, Any]) -> str:
        code, text = self(*words)
        assert code == 1, text
        return text.removeprefix("refused: ").partition(": ")[0]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("acts")
    running = Serving(lay_out(folder), folder)
    try:
        yield running
    finally:
        running.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def cso(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Hand:
    folder = tmp_path_factory.mktemp("cso")
    hand = Hand(party_file(serving, folder / CSO, CSO), folder)
    hand.done("site", "configure", SITE)
    return hand


@pytest.fixture(scope="module")
def fo(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Hand:
    folder = tmp_path_factory.mktemp("fo")
    return Hand(party_file(serving, folder / FO, FO), folder)


def test_a_site_changes_by_the_version_in_force_and_an_evse_goes_out_of_service(cso: Hand, fo: Hand) -> None:
    evse_id = EVSE["evse_id"]
    new_firmware = {"change": "FIRMWARE_REPLACED", "evse_id": evse_id, "firmware_sha256": "11" * 32}
    assert "proven by the log" in cso.done("site", "change", {"site_id": "DEPOT-7", "changes": [new_firmware]})
    stale = {"site_id": "DEPOT-7", "base_version": 1, "changes": [{**new_firmware, "firmware_sha256": "22" * 32}]}
    assert cso.refused("site", "change", stale) == "rules/version-gap"
    cso.done("site", "set-evse", "DEPOT-7", evse_id, "inoperative")
    shown = cso.done("site", "show", "DEPOT-7")
    assert "DEPOT-7  version 3 since" in shown
    assert f"  {evse_id}  " in shown
    assert shown.rstrip().endswith("INOPERATIVE")
    assert cso.done("site", "list") == "DEPOT-7  version 3\n"
    assert cso.refused("site", "set-evse", "DEPOT-7", "FI*NGC*E999", "operative") == "rules/evse-unknown"
    assert cso("site", "set-evse", "DEPOT-7", evse_id, "broken")[0] == 2
    assert cso("site", "change", {"changes": []})[0] == 2
    assert fo.done("site", "list") == "no sites\n"
    assert fo.refused("site", "set-evse", "DEPOT-7", evse_id, "operative") == "api/not-concerned"
    cso.done("site", "set-evse", "DEPOT-7", evse_id, "operative")


def test_a_site_is_forecast_and_its_claims_are_withdrawn_only_where_they_are(cso: Hand) -> None:
    now_ms = time.time_ns() // 1_000_000
    forecast = {
        "site_id": "DEPOT-7",
        "from_ms": now_ms,
        "until_ms": now_ms + HOUR_MS,
        "up_w": 1_000,
        "down_w": 0,
        "duration_s": 900,
    }
    cso.done("site", "forecast", forecast)
    assert cso.refused("site", "forecast", {**forecast, "up_w": 10**9}) == "rules/capability-contradicts"
    unknown = {"claim_id": "clm-none", "site_id": "DEPOT-7"}
    assert cso.refused("site", "withdraw-claim", {**unknown, "reason": "SUPERSEDED"}) == "rules/claim-unknown"


def test_a_contract_is_offered_accepted_by_its_digest_rests_and_ends(cso: Hand, fo: Hand) -> None:
    now_ms = time.time_ns() // 1_000_000
    offer = {
        "fsc_id": "fsc-hand",
        "version": 1,
        "kind": "FO_CSO",
        "fo": FO,
        "counterparty": CSO,
        "site_id": "DEPOT-7",
        "services": [msgspec.to_builtins(msgspec.structs.replace(TERMS, max_w=5_000))],
        "opt": {"default_on_silence": "IN", "opt_deadline_s": 60, "max_opt_outs": 2},
        "mandatory_ack": True,
        "valid_from_ms": now_ms - HOUR_MS,
        "valid_to_ms": now_ms + 24 * HOUR_MS,
        "purposes": ["settlement"],
    }
    fo.done("contract", "offer", offer)
    assert "not accepted" in cso.done("contract", "show", "fsc-hand")
    digest = cso.done("contract", "show", "fsc-hand").split()[-1]
    assert cso("contract", "accept", "fsc-hand", "0" * 64)[0] == 2
    assert fo.refused("contract", "accept", "fsc-hand", digest) == "rules/contract-not-counterparty"
    cso.done("contract", "accept", "fsc-hand", digest)
    assert fo.done("contract", "list").startswith("fsc-hand  ACTIVE  FO_CSO  DEPOT-7")
    assert fo.refused("contract", "withdraw", "fsc-hand", "1").startswith("rules/")
    fo.done("contract", "suspend", "fsc-hand")
    assert cso.refused("contract", "resume", "fsc-hand").startswith("rules/")
    assert "SUSPENDED" in fo.done("contract", "list", "--status", "SUSPENDED")
    fo.done("contract", "resume", "fsc-hand")
    window = (str(now_ms + HOUR_MS), str(now_ms + 2 * HOUR_MS))
    found = fo.done("contract", "find", "DEPOT-7", "congestion", *window, "--contract", "fsc-hand")
    assert found == "fsc-hand  ACTIVE  5000 W  1 EVSE\n"
    assert "UNDER_5" in fo.done("contract", "find", "DEPOT-7", "congestion", *window)
    cso.done("contract", "terminate", "fsc-hand")
    assert "TERMINATED" in fo.done("contract", "show", "fsc-hand")


def test_a_delegation_is_revoked_a_schedule_ended_and_a_party_declared(cso: Hand, fo: Hand) -> None:
    until_ms = time.time_ns() // 1_000_000 + HOUR_MS
    given = {"delegation_id": "del-hand", "grantor_role": "CSO", "grantor": CSO, "delegate": "FI-VLT"}
    cso.done("delegation", "give", {**given, "scopes": ["OPT"], "until_ms": until_ms})
    cso.done("delegation", "revoke", "del-hand")
    assert cso.refused("delegation", "revoke", "del-hand").startswith("rules/")
    schedule = {"schedule_id": "sch-hand", "actor": "CSO", "party": CSO, "choice": "OUT"}
    cso.done("schedule", "set", {**schedule, "from_ms": until_ms, "until_ms": until_ms + HOUR_MS})
    cso.done("schedule", "end", "sch-hand")
    assert cso.refused("schedule", "end", "sch-hand").startswith("rules/")
    fo.done("declare", {"party_id": FO, "version": 1, "role": "FO", "eic": "10X1001A1001A450"})
    assert cso("declare", {"party_id": CSO, "version": 1, "role": "CSO", "eic": "10X1001A1001A451"})[0] == 2


def test_what_is_said_of_a_request_that_is_not_there_is_refused_by_a_rule(cso: Hand, fo: Hand) -> None:
    for words in (
        ("abort", "fsr-none", "--reason", "SAFETY"),
        ("agree", "fsr-none", "pow-none"),
        ("dispute", "fsr-none", "pow-none", "--reason", "baseline"),
        ("resolve", "fsr-none", "pow-none", "upheld", "--ground", "TOLERANCE"),
        ("setpoints", {"fsr_id": "fsr-none", "batch": 1, "steps": [{"at_ms": 1, "power_w": 0}]}),
        ("settle", {"fsr_id": "fsr-none", "pow_id": "pow-none", "currency": "EUR", "lines": [], "net_micro": 0}),
    ):
        assert fo.refused("request", *words).startswith("rules/"), words
    assert fo("request", "dispute", "fsr-none", "pow-none", "--reason", "weather")[0] == 2


BY_HAND = {
    "site.available": "site forecast",
    "site.configured": "site configure",
    "site.changed": "site change",
    "site.session-mirrored": "site session",
    "site.claim-registered": "site claim",
    "site.installation-linked": "site link",
    "site.claim-withdrawn": "site withdraw-claim",
    "contract.offered": "contract offer",
    "contract.accepted": "contract accept",
    "contract.withdrawn": "contract withdraw",
    "contract.suspended": "contract suspend",
    "contract.resumed": "contract resume",
    "contract.terminated": "contract terminate",
    "discovery.asked": "contract find",
    "party.declared": "declare",
    "delegation.given": "delegation give",
    "delegation.revoked": "delegation revoke",
    "opt.scheduled": "schedule set",
    "opt.schedule-ended": "schedule end",
    "opt.decided": "opt",
    "fsr.issued": "request issue",
    "fsr.revised": "request revise",
    "fsr.answered": "respond",
    "fsr.setpoints": "request setpoints",
    "fsr.cancelled": "request cancel",
    "fsr.aborted": "request abort",
    "baseline.committed": "request baseline",
    "work.countered": "request agree",
    "work.resolved": "request resolve",
    "settlement.lined": "request settle",
}


def test_every_record_that_the_client_has_a_method_for_has_a_command() -> None:
    names = {kind.__name__: kind.TYPE for kind in registry.kinds()}
    stated = {names[name] for name in names if name in vars(statements)}
    assert stated == set(BY_HAND)
    for command in BY_HAND.values():
        found: Any = typer.main.get_command(app)
        for word in command.split():
            assert word in found.commands, command
            found = found.commands[word]
