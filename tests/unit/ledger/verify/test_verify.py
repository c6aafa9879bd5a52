"""What a stranger checks offline, and that every refusal names the entry."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from ledger.reader import Reader
from ledger.records import entry as entries
from ledger.records.errors import SignatureInvalid
from ledger.records.log import StreamClosed
from ledger.store.sqlite import SqliteReader
from ledger.tlog import hashing
from ledger.verify import (
    ChainBroken,
    EntryNotIncluded,
    EntryUnverified,
    ProvenEntry,
    RecDecreased,
    SeqGap,
    StatementDiffers,
    StreamMisclosed,
    StreamMixed,
    TooManyEntries,
    completeness,
    open_entries,
    require_complete,
    verify_chain,
    verify_inclusions,
)
from tests.support import attacks, logs

CLOSED, OPEN = "fsr/closed", "fsr/s1"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("log")

    async def build() -> None:
        log = await logs.begin(directory)
        await log.add(*range(20))
        for number in range(20, 25):
            await log.appender.append(logs.submitted(logs.said(number, stream=CLOSED)))
            log.clock.set_ms(log.clock.now_ms() + 10)
        await log.appender.append(logs.submitted(logs.closing(25, CLOSED, 5)))
        await log.close()

    asyncio.run(build())
    return directory / "log.db"


@pytest.fixture
def reader(path: Path):
    store = SqliteReader.open(path)
    yield Reader(store)
    store.close()


@pytest.fixture
def closed(reader: Reader) -> list[tuple[int, bytes]]:
    return reader.stream(CLOSED)


def changed(data: bytes, **members: object) -> bytes:
    return entries.encode(msgspec.structs.replace(entries.decode(data), **members))


def proven(reader: Reader, indices: range) -> list[ProvenEntry]:
    size = reader.head().size
    return [ProvenEntry(index, reader.entry(index), tuple(reader.inclusion(index, size))) for index in indices]


def test_included_entries_are_returned(reader: Reader) -> None:
    head = reader.head()
    found = verify_inclusions(proven(reader, range(26)), size=head.size, root=head.root)
    assert found == [(index, reader.entry(index)) for index in range(26)]


def test_an_entry_that_is_not_included_is_named(reader: Reader) -> None:
    head = reader.head()
    one, other = proven(reader, range(7, 9))
    for false in (
        ProvenEntry(one.index, attacks.edited(one.data), one.proof),
        ProvenEntry(one.index + 1, one.data, one.proof),
        ProvenEntry(one.index, one.data, other.proof),
        ProvenEntry(one.index, one.data, one.proof[:-1]),
    ):
        with pytest.raises(EntryNotIncluded) as refused:
            verify_inclusions([false], size=head.size, root=head.root)
        assert refused.value.where["index"] == false.index
        assert refused.value.where["stream"] == entries.decode(one.data).stream
    with pytest.raises(EntryNotIncluded) as refused:
        verify_inclusions([ProvenEntry(0, b"rubbish", ())], size=head.size, root=head.root)
    assert refused.value.where == {"index": 0}


def test_a_whole_closed_stream_is_complete(closed: list[tuple[int, bytes]]) -> None:
    chain = verify_chain(closed)
    ends = require_complete(chain)
    assert ends.is_complete
    assert (ends.stream, ends.first_seq, ends.last_seq, ends.closed_n) == (CLOSED, 1, 6, 5)


def test_an_open_stream_verifies_and_is_not_complete(reader: Reader) -> None:
    chain = verify_chain(reader.stream(OPEN))
    assert not completeness(chain).is_complete
    with pytest.raises(SeqGap, match="not closed"):
        require_complete(chain)


def test_a_stream_without_its_beginning_is_not_complete(closed: list[tuple[int, bytes]]) -> None:
    chain = verify_chain(closed[1:])
    assert completeness(chain).first_seq == 2
    with pytest.raises(SeqGap, match="beginning"):
        require_complete(chain)
    with pytest.raises(SeqGap):
        completeness(verify_chain([]))


def test_a_hidden_entry_is_a_gap_at_its_follower(closed: list[tuple[int, bytes]]) -> None:
    for hidden in range(1, 5):
        with pytest.raises(SeqGap) as refused:
            verify_chain(closed[:hidden] + closed[hidden + 1 :])
        assert refused.value.where == {"index": closed[hidden + 1][0], "stream": CLOSED, "seq": hidden + 2}
        assert refused.value.expected == str(hidden + 1)


def test_an_order_that_is_not_the_logs_is_refused(closed: list[tuple[int, bytes]]) -> None:
    with pytest.raises(SeqGap):
        verify_chain([closed[1], closed[0]])
    with pytest.raises(SeqGap):
        verify_chain([(30, closed[0][1]), (21, closed[1][1])])


def test_an_edited_entry_breaks_the_chain_at_its_follower(closed: list[tuple[int, bytes]]) -> None:
    for edited in range(5):
        forged = [*closed]
        forged[edited] = (closed[edited][0], attacks.edited(closed[edited][1]))
        with pytest.raises(ChainBroken) as refused:
            verify_chain(forged)
        assert refused.value.where["previous_index"] == closed[edited][0]
        assert refused.value.where["index"] == closed[edited + 1][0]


def test_a_first_entry_has_no_previous_one_and_others_have(closed: list[tuple[int, bytes]]) -> None:
    index, data = closed[0]
    with pytest.raises(ChainBroken):
        verify_chain([(index, changed(data, prev="aa" * 32))])
    with pytest.raises(ChainBroken):
        verify_chain([(index, changed(data, seq=2))])


def test_streams_and_logs_are_not_mixed(reader: Reader, closed: list[tuple[int, bytes]]) -> None:
    with pytest.raises(StreamMixed):
        verify_chain([reader.stream(OPEN)[0], closed[1]])
    with pytest.raises(StreamMixed):
        verify_chain([closed[0], (closed[1][0], changed(closed[1][1], log="log.example/other"))])


def test_time_does_not_go_back_in_a_chain(closed: list[tuple[int, bytes]]) -> None:
    late = changed(closed[0][1], rec=2**40 + 2**41)
    follows = changed(closed[1][1], prev=hashing.leaf(late).hex())
    with pytest.raises(RecDecreased):
        verify_chain([(closed[0][0], late), (closed[1][0], follows)])


def test_nothing_follows_a_closing_record(closed: list[tuple[int, bytes]]) -> None:
    index, last = closed[-1]
    after = changed(closed[0][1], seq=7, prev=hashing.leaf(last).hex(), rec=entries.decode(last).rec)
    with pytest.raises(StreamMisclosed, match="follow"):
        verify_chain([*closed, (index + 1, after)])


@pytest.mark.parametrize("what", [StreamClosed(closed=CLOSED, n=4), StreamClosed(closed="fsr/other", n=5)])
def test_a_closing_record_that_miscounts_is_refused(closed: list[tuple[int, bytes]], what: StreamClosed) -> None:
    index, data = closed[-1]
    forged = changed(data, stmt=logs.said(25, stream=CLOSED, what=what).raw)
    with pytest.raises(StreamMisclosed):
        verify_chain([*closed[:-1], (index, forged)])
    with pytest.raises(EntryUnverified):
        verify_chain([*closed[:-1], (index, changed(data, stmt="no.state.ment"))])


def test_every_statement_is_opened_under_its_actors_key(closed: list[tuple[int, bytes]]) -> None:
    opened = open_entries(closed, resolve=logs.resolve)
    assert [one.index for one in opened] == [index for index, _ in closed]
    assert {one.actor.party for one in opened} == {"NL-CSO"}


def test_a_statement_of_another_key_is_refused_and_named(closed: list[tuple[int, bytes]]) -> None:
    with pytest.raises(EntryUnverified) as refused:
        open_entries(closed, resolve=lambda x5t, entry: logs.actor_of("NL-FO"))
    assert refused.value.found == SignatureInvalid.code
    assert refused.value.where == {"index": closed[0][0], "stream": CLOSED, "seq": 1}


@pytest.mark.parametrize(
    ("member", "value"),
    [("log", "log.example/other"), ("stream", "fsr/other"), ("type", "log.refused"), ("v", 2)],
)
def test_an_entry_that_misquotes_its_statement_is_refused(
    closed: list[tuple[int, bytes]], member: str, value: object
) -> None:
    index, data = closed[0]
    with pytest.raises(StatementDiffers) as refused:
        open_entries([(index, changed(data, **{member: value}))], resolve=logs.resolve)
    assert member in refused.value.detail
    assert refused.value.where["index"] == index


def test_bytes_that_are_no_entry_are_refused_and_named() -> None:
    for call in (verify_chain, lambda found: open_entries(found, resolve=logs.resolve)):
        with pytest.raises(EntryUnverified) as refused:
            call([(4, b"{}")])
        assert refused.value.where["index"] == 4


def test_the_number_of_entries_is_bounded(
    reader: Reader, closed: list[tuple[int, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = reader.head()
    found = proven(reader, range(6))
    for limit, fits in ((6, True), (5, False)):
        monkeypatch.setattr("ledger.verify.MAX_ENTRIES", limit)
        for call in (
            lambda: verify_chain(closed),
            lambda: open_entries(closed, resolve=logs.resolve),
            lambda: verify_inclusions(found, size=head.size, root=head.root),
        ):
            if fits:
                assert len(call()) == 6
            else:
                with pytest.raises(TooManyEntries):
                    call()
