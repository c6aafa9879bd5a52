"""What the public abstract of IEC 63382-1:2025 speaks of, and where each topic is: data for `coverage.md`.

Records, rules and routes are named as the code's registries know them, tests by their functions. `coverage.py` writes the page
and refuses a name that is not there, and an empty cell.
"""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic of the abstract."""

    title: str
    says: str
    """What is there, in a line."""
    records: tuple[str, ...]
    rules: tuple[str, ...]
    routes: tuple[str, ...]
    tests: tuple[str, ...]
    lacks: str = ""
    """What is not there yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """A topic that the abstract names as somebody else's."""

    title: str
    why: str
    pages: tuple[str, ...] = field(default=())


TOPICS: Final = (
    Topic(
        title="a flexibility port at the charging-station backend (FCSBE), between flexibility operator and CSO or CSP",
        says="one service with mTLS; every party states with its own key; [HTTP](../reference/api.md), events, webhooks",
        records=("log.policy-adopted", "log.refused", "log.stream-closed"),
        rules=("R-01", "R-04", "R-05", "R-06", "R-07", "R-08", "R-09", "R-10"),
        routes=("POST /v1/statements", "GET /v1/events", "POST /v1/webhooks", "GET /v1/streams", "GET /checkpoint"),
        tests=("test_nobody_speaks_for_others", "test_a_receiver_confirms_and_is_then_told_everything_in_order"),
        lacks="one port a service; a CSP reaches the port of the CSO",
    ),
    Topic(
        title="credentials exchange: identify and authenticate the actors",
        says="role certificates and statement signatures, checked at a stated time; enrolled over EST, renewed, revoked",
        records=(
            "credential.intended",
            "credential.issued",
            "credential.adopted",
            "credential.revoked",
            "check.recorded",
        ),
        rules=("R-02", "R-91", "R-92", "R-93", "R-94"),
        routes=(
            "POST /.well-known/est/simpleenroll",
            "POST /.well-known/est/simplereenroll",
            "GET /v1/credentials",
            "POST /v1/credentials/{name}/revocation",
            "POST /pki/ocsp",
        ),
        tests=(
            "test_the_authority_of_another_role_proves_nothing",
            "test_a_person_is_never_named_in_a_delegation_and_speaks_for_nobody_else",
        ),
        lacks="fetching of others' status; stapling",
    ),
    Topic(
        title="authorize the actors",
        says="dimension AUTHORIZATION; delegations; a role for each route; [access tokens](../how-to/narrow-a-connection.md) that only narrow",
        records=("delegation.given", "delegation.revoked"),
        rules=("R-01", "R-05", "R-151", "R-29", "R-291"),
        routes=("POST /v1/delegations", "POST /v1/delegations/{delegation_id}/revocation", "POST /v1/tokens"),
        tests=(
            "test_an_object_is_shown_to_whom_it_concerns_and_is_not_there_for_anybody_else",
            "test_a_person_exercises_no_right_of_the_port_that_relays_it",
            "test_a_delegate_opts_for_the_person_until_it_is_revoked_or_over",
        ),
        lacks="finer scopes of tokens than read and write",
    ),
    Topic(
        title="check the validity of the flexibility-service contract",
        says="dimension CONTRACT: in force at a stated time, for that site, class, direction and power",
        records=("check.recorded", "contract.accepted", "contract.terminated"),
        rules=("R-23", "R-24", "R-25", "R-41", "R-43"),
        routes=("POST /v1/checks", "GET /v1/checks/{check_id}", "GET /v1/contracts/{fsc_id}"),
        tests=(
            "test_a_contract_is_in_force_from_acceptance_within_its_validity_until_it_is_ended",
            "test_a_voluntary_request_names_contracts_in_force_that_cover_it",
        ),
    ),
    Topic(
        title="verify the technical capability of EV and station as a system",
        says="dimension CAPABILITY: power, reactive power, energy, state of charge and departure, as far as the car said them",
        records=("check.recorded", "site.configured", "site.session-mirrored"),
        rules=("R-40", "R-42", "R-44", "R-54", "R-55", "R-56"),
        routes=("POST /v1/checks", "POST /v1/sites/{site_id}/sessions"),
        tests=(
            "test_one_subject_that_passes_is_enough_and_indeterminate_is_not_pass",
            "test_capacity_is_not_sold_twice_for_one_instant",
        ),
    ),
    Topic(
        title="verify conformity to technical standards",
        says="dimension CONFORMITY: [claims and installation links](../spec/conformity-claim.md) of EV, EVSE, types and matched pairs",
        records=("site.claim-registered", "site.installation-linked", "site.claim-withdrawn"),
        rules=("R-45", "R-46"),
        routes=("POST /v1/sites/{site_id}/claims", "GET /v1/claims", "GET /v1/claims/{claim_id}/status"),
        tests=("test_a_claim_about_an_ev_never_stands_for_an_evse", "test_type_claim_without_installation_link"),
        lacks="registries of type approvals",
    ),
    Topic(
        title="contracts between FO and EV user, CSP, or CSO",
        says="three kinds, signed by both sides, versions, withdrawal, suspension, notice, limits, conflicts",
        records=(
            "contract.offered",
            "contract.withdrawn",
            "contract.accepted",
            "contract.suspended",
            "contract.resumed",
            "contract.terminated",
        ),
        rules=("R-14", "R-20", "R-21", "R-22", "R-251", "R-252", "R-26", "R-27"),
        routes=(
            "POST /v1/contracts",
            "POST /v1/contracts/{fsc_id}/acceptance",
            "POST /v1/contracts/{fsc_id}/termination",
            "GET /v1/contracts",
        ),
        tests=(
            "test_the_kind_says_who_the_parties_are",
            "test_only_the_other_party_accepts",
            "test_what_is_accepted_is_the_latest_offer_by_its_digest",
            "test_contracts_rest_while_no_claim_that_they_rest_on_is_good",
        ),
    ),
    Topic(
        title="discovery of contract holders",
        says="an operator learns of its own contracts only, under blinded ids; every question and answer is on record",
        records=("discovery.asked", "discovery.answered"),
        rules=("R-28", "R-33"),
        routes=("POST /v1/contracts/discovery", "GET /v1/contracts/discovery/{query_id}"),
        tests=(
            "test_a_blinded_id_is_another_one_for_each_salt_and_needs_the_offer",
            "test_discovery_is_told_to_who_asked_and_to_who_answers",
        ),
    ),
    Topic(
        title="request for flexibility, and its answer",
        says="issued, revised, answered, moved, cancelled, aborted; supersession by priority; nothing is guessed about times",
        records=(
            "fsr.issued",
            "fsr.revised",
            "fsr.answered",
            "fsr.setpoints",
            "fsr.cancelled",
            "fsr.aborted",
        ),
        rules=(
            "R-12",
            "R-13",
            "R-30",
            "R-32",
            "R-34",
            "R-35",
            "R-36",
            "R-37",
            "R-38",
            "R-39",
            "R-391",
            "R-392",
            "R-393",
            "R-394",
            "R-395",
            "R-396",
            "R-397",
            "R-398",
            "R-50",
            "R-51",
            "R-52",
            "R-53",
        ),
        routes=(
            "POST /v1/requests",
            "POST /v1/requests/{fsr_id}/response",
            "POST /v1/requests/{fsr_id}/revision",
            "POST /v1/requests/{fsr_id}/setpoints",
            "POST /v1/requests/{fsr_id}/cancellation",
            "POST /v1/requests/{fsr_id}/abort",
            "GET /v1/requests/{fsr_id}/log",
        ),
        tests=(
            "test_a_voluntary_request_is_answered_in_time_and_once",
            "test_an_answer_says_what_its_offers_say",
            "test_the_log_of_a_request_is_whole_and_newest_first",
        ),
    ),
    Topic(
        title="the right of EV user, CSO and CSP to opt in or out",
        says="each actor has a right of its own, one OUT suffices; silence by contract, deadlines, limits, schedules, leaving while it runs",
        records=("opt.decided", "opt.scheduled", "opt.schedule-ended"),
        rules=("R-60", "R-62", "R-63", "R-64", "R-65", "R-70"),
        routes=(
            "POST /v1/requests/{fsr_id}/decisions",
            "GET /v1/requests/{fsr_id}/decisions",
            "GET /v1/participations",
            "POST /v1/schedules",
            "POST /v1/schedules/{schedule_id}/end",
        ),
        tests=(
            "test_each_actor_has_a_right_of_its_own",
            "test_one_out_suffices_whoever_else_is_in",
            "test_what_opted_out_is_never_dispatched",
        ),
    ),
    Topic(
        title="the exception: mandatory for safety or grid stability",
        says="two grounds and no other; the grid operator's signed directive travels along; a refused opt-out stays visible",
        records=("fsr.issued", "directive.given", "log.refused"),
        rules=("R-03", "R-31", "R-61"),
        routes=("POST /v1/requests",),
        tests=(
            "test_opt_out_is_refused_while_a_verified_mandate_holds_and_the_refusal_names_its_ground",
            "test_without_a_verified_directive_there_is_no_mandate",
        ),
    ),
    Topic(
        title="mandatory grid functions and market services told apart; functions embedded in an inverter's firmware",
        says="class `LIMIT_MANDATORY`; claims name functions; what is mandatory and what is sold is a reviewed file a country; what firmware did is on record, never requested, and excused from market services",
        records=("fsr.issued", "embedded.acted", "site.claim-registered", "samples.committed"),
        rules=("R-52", "R-85"),
        routes=("POST /v1/requests", "POST /v1/sites/{site_id}/claims"),
        tests=(
            "test_an_embedded_function_is_shown_by_its_flag_and_compared_with_the_time_before",
            "test_a_mandate_takes_no_market_capacity",
            "test_where_what_a_region_asks_of_a_claim_is_uncertain_nothing_covers_and_nothing_is_missing",
        ),
        lacks="a default control that starts without an alarm is not noticed; grid codes of five countries, 12 of 40 lines uncertain",
    ),
    Topic(
        title="exchange of configuration and capabilities of stations",
        says="EVSEs with limits, services, response times and meters; whole versions, or what changes; what was in force at any past time",
        records=("site.configured", "site.changed", "site.available"),
        rules=("R-14", "R-33", "R-48", "R-49", "R-481", "R-482", "R-483", "R-484"),
        routes=(
            "POST /v1/sites",
            "POST /v1/sites/{site_id}/changes",
            "GET /v1/sites/{site_id}",
            "GET /v1/stations",
            "GET /v1/stations/{station_id}",
        ),
        tests=(
            "test_versions_of_a_site_count_up_by_one_and_come_from_its_cso",
            "test_a_site_is_told_as_it_was_in_force_at_a_time",
            "test_a_change_names_the_version_in_force_and_makes_the_next_one",
            "test_an_evse_that_an_accepted_request_holds_does_not_go",
        ),
    ),
    Topic(
        title="execution of the service",
        says="[execution](../explanation/execution.md) over [OCPP 2.1](../reference/ocpp.md); facts as they happened, a time-out is no failure",
        records=("execution.noted", "baseline.committed"),
        rules=("R-71", "R-72", "R-73", "R-74", "R-75", "R-76", "R-77", "R-791"),
        routes=("POST /v1/requests/{fsr_id}/baseline",),
        tests=(
            "test_what_is_dispatched_follows_from_the_committed_baseline",
            "test_nothing_executes_without_a_baseline_that_counts_it",
            "test_a_fact_says_where_a_participation_stands_and_a_time_out_is_no_failure",
        ),
        lacks="other protocols to stations",
    ),
    Topic(
        title="V1G and V2G services: dynamic setpoints, droop, demand response, fast response, reserve, V2H",
        says="[classes](../reference/services.md) from parameters to verdict and OCPP; [scenarios](../scenarios/index.md) with their figures",
        records=("fsr.issued", "fsr.setpoints", "work.proven"),
        rules=("R-36", "R-391", "R-392"),
        routes=("POST /v1/requests", "POST /v1/requests/{fsr_id}/setpoints"),
        tests=(
            "test_a_scenario_meets_every_figure_and_refusal_of_its_page",
            "test_a_dip_in_the_support_window_fails_and_after_it_does_not",
            "test_a_reserve_owes_from_full_activation_on_and_is_proven",
            "test_discharge_into_the_house_saves_the_price_of_its_energy",
        ),
    ),
    Topic(
        title="information of the charging session: authorization, tariff, metering",
        says="a session's EVSE, user, consent to discharge, authorization, roaming, tariff, registers and what the car said, as salted digests; energies by period from the evidence",
        records=("site.session-mirrored",),
        rules=("R-15", "R-33"),
        routes=("POST /v1/sites/{site_id}/sessions", "GET /v1/sites/{site_id}/energy"),
        tests=(
            "test_a_session_is_mirrored_for_a_known_site_by_its_cso_or_a_csp",
            "test_authorization_roaming_tariff_and_metering_are_digests_in_the_log_and_whole_beside_it",
            "test_the_operator_is_told_what_was_measured_by_period",
        ),
        lacks="charge records and invoices: a service record names the session, the charging operator's own system has the rest",
    ),
    Topic(
        title="detailed service record",
        says="one for each participation, corrected by reversing only",
        records=("dsr.recorded", "samples.committed"),
        rules=("R-11", "R-78", "R-79", "R-80", "R-81"),
        routes=("GET /v1/requests/{fsr_id}/record", "GET /v1/requests/{fsr_id}/log"),
        tests=(
            "test_a_service_record_is_corrected_by_reversing_it_only",
            "test_a_service_record_follows_the_end_and_names_its_own_batches",
        ),
    ),
    Topic(
        title="proof of work",
        says="signed meter values, sample trees and a score that anybody computes again, bit for bit: [delivery](../spec/delivery.md)",
        records=("samples.committed", "work.proven", "work.countered", "work.resolved"),
        rules=("R-82", "R-83", "R-84", "R-85", "R-86", "R-88", "R-89"),
        routes=(
            "POST /v1/requests/{fsr_id}/proof",
            "POST /v1/requests/{fsr_id}/counter",
            "POST /v1/requests/{fsr_id}/resolution",
            "GET /v1/requests/{fsr_id}/record",
        ),
        tests=(
            "test_a_proof_that_contradicts_the_record_is_refused",
            "test_a_proof_is_corrected_by_reversing_it_only",
            "test_a_settled_request_verifies_in_every_step",
        ),
    ),
    Topic(
        title="settlement",
        says="lines at the contract's prices, checked by both sides and by an audit; the stream is closed behind it",
        records=("settlement.lined", "log.stream-closed"),
        rules=("R-06", "R-07", "R-87"),
        routes=("POST /v1/requests/{fsr_id}/settlement",),
        tests=("test_what_is_agreed_is_settled_and_adds_up",),
        lacks="invoices",
    ),
    Topic(
        title="privacy and security of the exchange",
        says="no personal value in the log; erasure with proofs kept; exports; [privacy](../explanation/privacy.md), [threat model](../security/threat-model.md)",
        records=(
            "privacy.erasure-requested",
            "privacy.erasure-refused",
            "privacy.erasure-executed",
            "privacy.data-disclosed",
            "privacy.restriction-set",
            "privacy.restriction-lifted",
            "privacy.kek-epoch-destroyed",
        ),
        rules=("R-02", "R-15", "R-27"),
        routes=("POST /v1/subjects/erasure", "POST /v1/exports", "GET /v1/disclosures"),
        tests=(
            "test_after_an_erasure_the_difference_is_told_to_nobody",
            "test_disclosures_tell_each_recipient_of_its_own_exports",
        ),
        lacks="what [limitations](../security/limitations.md) lists",
    ),
)

OUTSIDE: Final = (
    Outside(
        title="FO to grid operator: optimisation, bidding",
        why="out of the standard's scope, and of ours; only the directive's signature is evidence",
    ),
    Outside(
        title="other protocols of FO and CSO",
        why="[mapping tables](../reference/mappings/index.md) to OpenADR, OCPI, IEEE 2030.5, OSCP, EEBUS and ISO 15118-20; they are not implemented again",
    ),
)
