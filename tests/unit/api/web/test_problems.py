"""Every error has one status, one code and one problem document, and none repeats what a caller sent."""

from collections import Counter

import msgspec
import pytest
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ServiceUnavailableException,
    TooManyRequestsException,
    ValidationException,
)

import api.errors
import ledger.errors
import pki.errors
from api.web import problems
from api.web.errors import CredentialMissing, Internal, MethodNotAllowed, RateLimited, RouteUnknown
from api.wire import Problem
from ledger.rules.errors.violated import RuleViolated


@pytest.fixture(scope="module")
def classes() -> tuple[type[problems.CodedError], ...]:
    return problems.error_classes()


def test_every_error_class_has_its_own_code_and_title(classes: tuple[type[problems.CodedError], ...]) -> None:
    assert len(classes) > 100
    repeated = [code for code, count in Counter(each.code for each in classes).items() if count > 1]
    assert repeated == []
    inherited = [each for each in classes if "code" not in vars(each) or "title" not in vars(each)]
    assert inherited == []


FAMILIES = {"rules": "ledger", "verify": "api"}
"""Families of codes that are not called after their package."""


def test_every_code_starts_with_its_package_or_its_family(classes: tuple[type[problems.CodedError], ...]) -> None:
    for each in classes:
        package = each.__module__.partition(".")[0]
        prefix = each.code.partition("/")[0]
        assert FAMILIES.get(prefix, prefix) == package, each


UNDECIDED = {"pki/status-indeterminate"}
"""Refused as evidence, but nobody said no: whoever asks over HTTP is told to ask again."""


def test_every_error_has_a_status_that_its_kind_allows(classes: tuple[type[problems.CodedError], ...]) -> None:
    allowed = {"Refused": range(400, 500), "Absent": (404, 410), "Busy": (429, 503), "Broken": (500,)}
    for each in classes:
        kind = next((base.__name__ for base in each.__mro__ if base.__name__ in allowed), None)
        if kind is None:
            assert each.code == "api/remote-problem", f"{each} is of none of the four kinds"
            continue
        if each.code in UNDECIDED:
            assert problems.status_of(each) == 503
            continue
        assert problems.status_of(each) in allowed[kind], each


def test_every_row_of_the_table_names_an_error_that_exists(classes: tuple[type[problems.CodedError], ...]) -> None:
    assert set(problems.STATUS_OF_CODE) <= {each.code for each in classes}


@pytest.mark.parametrize("package", [api.errors, ledger.errors, pki.errors])
@pytest.mark.parametrize(("kind", "status"), [("Refused", 400), ("Absent", 404), ("Busy", 503), ("Broken", 500)])
def test_the_status_follows_from_the_kind(package: object, kind: str, status: int) -> None:
    assert problems.status_of(getattr(package, kind)) == status


def test_a_rule_that_refuses_is_a_conflict() -> None:
    assert problems.status_of(RuleViolated("no")) == 409


def test_the_document_says_what_was_expected_found_and_where() -> None:
    error = ledger.errors.Refused("does not fit", expected="1", found="2", index=12)
    status, problem = problems.to_problem(error)
    assert (status, problem.status) == (400, 400)
    assert problem.type == "https://flexledger.invalid/problems/ledger/refused"
    assert (problem.detail, problem.expected, problem.found) == ("does not fit", "1", "2")
    assert problem.where == {"index": 12}
    assert problem.instance is not None
    assert problem.instance.startswith("urn:uuid:")
    assert msgspec.json.decode(msgspec.json.encode(problem), type=Problem) == problem


def test_of_broken_evidence_the_caller_learns_the_code_alone() -> None:
    _, problem = problems.to_problem(ledger.errors.Broken("row 7 is not what it was", found="x", index=7))
    assert (problem.code, problem.detail, problem.found, problem.where) == ("ledger/broken", "", None, {})


def test_an_unknown_exception_becomes_internal_without_its_text() -> None:
    coded = problems.of_exception(RuntimeError("Erika Mustermann"))
    assert isinstance(coded, Internal)
    assert "Erika" not in coded.message()


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (NotFoundException("Erika"), "api/route-unknown", 404),
        (MethodNotAllowedException(headers={"allow": "GET"}), "api/method-not-allowed", 405),
        (TooManyRequestsException("Erika"), "api/rate-limited", 429),
        (ValidationException("Erika"), "api/request-malformed", 400),
        (HTTPException("Erika", status_code=401), "api/credential-missing", 401),
        (HTTPException("Erika", status_code=403), "api/role-not-allowed", 403),
        (HTTPException("Erika", status_code=413), "api/body-too-large", 413),
        (HTTPException("Erika", status_code=415), "api/media-type-unsupported", 415),
        (HTTPException("Erika", status_code=418), "api/request-malformed", 400),
        (ServiceUnavailableException("Erika"), "api/internal", 500),
    ],
)
def test_the_frameworks_exceptions_get_our_codes_and_lose_their_texts(
    error: HTTPException, code: str, status: int
) -> None:
    coded = problems.of_exception(error)
    assert (coded.code, problems.status_of(coded)) == (code, status)
    assert "Erika" not in coded.message()


def test_validation_errors_name_place_and_schema_and_never_the_value() -> None:
    extra = [
        {"message": "Expected `int`, got `str`", "key": "power_w", "source": "body"},
        {"message": "Invalid enum value 'Erika'", "key": "choice", "source": "body"},
        {"message": "Object contains unknown field `Erika`", "key": "data", "source": "body"},
        {"message": "Expected `int` >= 1", "key": "limit", "source": "query"},
        "not a mapping",
    ]
    coded = problems.of_exception(ValidationException("Validation failed for GET /Erika", extra=extra))
    _, problem = problems.to_problem(coded)
    assert [(each.detail, each.pointer, each.source) for each in problem.errors] == [
        ("`int`", ".power_w", None),
        ("a value that the schema allows", ".choice", None),
        ("no unknown member", None, None),
        ("`int` >= 1", "limit", "query"),
    ]
    assert b"Erika" not in msgspec.json.encode(problem)


def test_a_parameter_that_is_missing_is_named() -> None:
    words = "Missing required query parameter 'old_size' for path /v1/Erika"
    _, problem = problems.to_problem(problems.of_exception(ValidationException(words)))
    assert [(each.detail, each.pointer, each.source) for each in problem.errors] == [("required", "old_size", "query")]
    assert b"Erika" not in msgspec.json.encode(problem)


@pytest.mark.parametrize(("count", "shown"), [(problems.MAX_ERRORS, 20), (problems.MAX_ERRORS + 1, 20)])
def test_no_more_errors_are_listed_than_anyone_reads(count: int, shown: int) -> None:
    extra = [{"message": "Expected `int`", "key": "a", "source": "body"}] * count
    _, problem = problems.to_problem(problems.of_exception(ValidationException("no", extra=extra)))
    assert len(problem.errors) == shown


def test_statuses_bring_the_headers_that_they_demand() -> None:
    assert "www-authenticate" in problems.headers_of(CredentialMissing("no"), 401)
    assert problems.headers_of(RateLimited("no", retry_after_s=7), 429)["retry-after"] == "7"
    assert problems.headers_of(ledger.errors.Busy("later"), 503)["retry-after"] == "1"
    assert problems.headers_of(MethodNotAllowed("no", allow=("GET", "HEAD")), 405)["allow"] == "GET, HEAD"
    assert problems.headers_of(RouteUnknown("no"), 404) == {"cache-control": "no-store"}
