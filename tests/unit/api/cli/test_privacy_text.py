"""What the privacy commands say names everybody, and each release once."""

from api.cli import privacy_text

RELEASE = {"at_ms": 0, "recipient": None, "purpose": "SUBJECT_RIGHTS", "profile": "ACCESS"}


def test_a_release_is_said_once_however_many_pseudonyms_are_in_it() -> None:
    found = {"received": [RELEASE, RELEASE, {**RELEASE, "recipient": "FI-AUR"}]}
    assert privacy_text.recipients(found).splitlines() == [
        "1970-01-01T00:00:00Z  the person itself  SUBJECT_RIGHTS  ACCESS",
        "1970-01-01T00:00:00Z  FI-AUR  SUBJECT_RIGHTS  ACCESS",
    ]


def test_a_notice_to_nobodys_organisation_is_one_to_the_person() -> None:
    notice = {"number": 1, "recipient": None, "pseudonym": "P1AA", "manifest_sha256": "0a"}
    assert privacy_text.notices({"notices": [notice]}) == "1  tell the person itself to forget P1AA (manifest 0a)"


def test_an_erasure_says_how_many_are_to_be_told() -> None:
    told = [privacy_text.erased({"index": 7, "recipients_to_notify": count}) for count in (0, 1, 2)]
    assert told == [
        "erased; tombstone at entry 7, 0 recipients to notify",
        "erased; tombstone at entry 7, 1 recipient to notify",
        "erased; tombstone at entry 7, 2 recipients to notify",
    ]
