"""What the privacy commands say to people."""

from typing import Any, Final

from api.cli.words import counted, utc
from ledger.privacy import processing

THE_PERSON: Final = "the person itself"
"""Who is named where an export went to no organisation."""

_DPIA: Final = """\
# Data protection impact assessment: template

{caveat} Answer what is in brackets. (GDPR Art. 35; questions after the EDPB's guidelines on blockchain.)

## The processing

{activities}

Recipients and forms of export: [list the policies of your service: `flexledger privacy policies`].
Controller, processors and their contracts: [who decides, who runs the service, on whose behalf].

## Is personal data in the ledger at all?

The log holds salted digests, organisations' ids and coarse times. Digests are personal data while their salts exist.
What stays after an erasure: record type, organisation, request and a coarse time. [Who could still recognise somebody
from that, in your deployment?]

## Why a ledger?

To show to parties that do not trust each other what was asked, delivered and paid, and that nothing was changed later.
[Would a signed exchange without a log do?]

## Which kind of ledger, and who has access?

One log of one operator, read by the parties concerned, auditors and witnesses; no public validators. [Who runs the
service, the vault, the key ring, the backups? Who are privacy officer and operator, and are they two persons?]

## Which measures?

{measures}

[Retention runs, key rotations, backups and their restores: how often, by whom, when last tested? Physical security of
the key ring? Training of those who answer requests?]

## Risks that are left

[For each: likelihood, severity, what is done, who accepts it.]

- An entry is recognised from metadata and outside knowledge.
- A recipient keeps or joins what it was given.
- Vault and key ring are stolen together.
- A key is lost, and evidence with it.
"""


def held(found: Any) -> str:
    """That a hold stands, and under which handle the log says so."""
    return f"held, handle {found['handle']}"


def erased(found: Any) -> str:
    """What became of an erasure."""
    told = counted(found["recipients_to_notify"], "recipient", "recipients")
    return f"erased; tombstone at entry {found['index']}, {told} to notify"


def recipients(found: Any) -> str:
    """Who received what, each release once, however many pseudonyms the person has in it."""
    lines = [
        f"{utc(one['at_ms'])}  {one['recipient'] or THE_PERSON}  {one['purpose']}  {one['profile']}"
        for one in found["received"]
    ]
    return "\n".join(dict.fromkeys(lines)) or "nobody was given anything"


def policies(found: Any) -> str:
    """What is installed."""
    return "\n".join(
        f"{one['name']} {one['version']}  {one['profile']}  {one['purpose']}  {one['legal_basis']}  ({one['reviewed']})"
        for one in found["policies"]
    )


def expired(found: Any) -> str:
    """What a retention run came to."""
    places = ", ".join(str(one) for one in found["tombstones"])
    return f"expired; tombstones at entries {places}" if places else "nothing was due"


def notices(found: Any) -> str:
    """Who is to be told."""
    lines = [
        f"{one['number']}  tell {one['recipient'] or THE_PERSON} to forget {one['pseudonym']}"
        f" (manifest {one['manifest_sha256']})"
        for one in found["notices"]
    ]
    return "\n".join(lines) or "nobody is to be told"


def rotated(found: Any) -> str:
    """What a rotation came to."""
    copy = found["keys_in_backup"]
    tested = "no copy was made here" if copy is None else f"{counted(copy, 'key', 'keys')} of the copy opened"
    gone = ", ".join(str(one) for one in found["destroyed"]) or "none"
    return f"epoch {found['epoch']}; {tested}; epochs destroyed: {gone}"


def reidentifications(found: Any) -> str:
    """What waits."""
    lines = [
        f"{one['request']}  {one['ground']}  asked by {one['officer']} at {utc(one['asked_at_ms'])}, "
        f"given to {one['recipient']} for {one['purpose']}, "
        + (f"approved by {one['approver']}" if one["approver"] else "not approved")
        for one in found["requests"]
    ]
    return "\n".join(lines) or "nothing waits"


def answer(found: Any) -> str:
    """The one answer."""
    return found["subject"] or "nobody whose data is here has that pseudonym"


def ropa(found: Any) -> str:
    """The record of processing, as Markdown."""
    lines = ["# Record of processing activities", "", found["caveat"], "", f"Controller: {found['controller']}", ""]
    lines += ["| category | what for | kept | members |", "|---|---|---|---|"]
    for one in found["activities"]:
        members = ", ".join(f"{each['record']} {each['member']}" for each in one["members"])
        lines.append(f"| {one['category']} | {one['purpose']} | {', '.join(one['retention'])} | {members} |")
    lines += ["", "| export | purpose | basis | form | deleted after |", "|---|---|---|---|---|"]
    lines += [
        f"| {one['policy']} | {one['purpose']} | {one['legal_basis']} | {one['form']} "
        f"| {one['delete_after_days']} days |"
        for one in found["recipients"]
    ]
    lines += ["", f"Transfers to third countries: {found['transfers_to_third_countries']}.", ""]
    lines += [f"- {one}" for one in found["measures"]]
    return "\n".join(lines)


def breach_scope(found: Any) -> str:
    """What could have been reached."""
    lines = [found["caveat"], "", f"of {found['of']}: {counted(found['subjects'], 'person', 'persons')}"]
    lines += [
        f"  {one['category']}: {counted(one['values'], 'value', 'values')} "
        f"of {counted(one['subjects'], 'person', 'persons')}"
        for one in found.get("categories", ())
    ]
    lines += [
        f"  {utc(one['disclosed_at_ms'])} {one['profile']} for {one['purpose']}: "
        f"{counted(one['subjects'], 'person', 'persons')}, manifest {one['manifest_sha256']}"
        for one in found.get("exports", ())
    ]
    lines.append(f"key epoch {found['key_epoch']}; to be notified within 72 hours, if it is a breach (Art. 33(1))")
    return "\n".join(lines)


def dpia() -> str:
    """The template, with what the marks say filled in."""
    lines = ["| category | what for | kept |", "|---|---|---|"]
    lines += [
        f"| {one['category']} | {one['purpose']} | {', '.join(one['retention'])} |" for one in processing.activities()
    ]
    return _DPIA.format(
        caveat=processing.CAVEAT,
        activities="\n".join(lines),
        measures="\n".join(f"- {one}" for one in processing.MEASURES),
    )
