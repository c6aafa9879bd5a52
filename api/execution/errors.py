"""The errors of `api.execution`; each is one of the four kinds of `api.errors`."""

from api.errors import Absent, Busy, Refused


class FrameRefused(Refused):
    """A frame is not OCPP-J within our bounds; the connection survives, the frame is answered with a CALLERROR."""

    code = "api/ocpp-frame-refused"
    title = "Frame refused"

    def __init__(self, detail: str, *, ocpp_code: str, message_id: str = "-1", found: object | None = None) -> None:
        """`ocpp_code` is the CALLERROR code the standard prescribes, `message_id` is "-1" if none could be read."""
        self.ocpp_code = ocpp_code
        self.message_id = message_id
        super().__init__(detail, found=found)


class FrameUnfit(Refused):
    """A message of ours does not fit the bounds of OCPP-J; it was not sent."""

    code = "api/ocpp-frame-unfit"
    title = "Message does not fit"


class StationRefused(Refused):
    """The certificate or password of a connecting station is not acceptable here; it was answered 403."""

    code = "api/ocpp-station-refused"
    title = "Station refused"


class StationCrossSite(Refused):
    """A page made a browser connect, with the certificate that the browser holds; it was answered 403."""

    code = "api/ocpp-cross-site"
    title = "Connected by a page"


class StationPathUnknown(Absent):
    """The path that was asked for is not a station's; it was answered 404."""

    code = "api/ocpp-path-unknown"
    title = "Not a station's path"


class StationUnknown(Absent):
    """No station of this name has connected since the listener was started."""

    code = "api/ocpp-station-unknown"
    title = "Station unknown"


class QueueFull(Busy):
    """The bounded queue of commands for one station is full; nothing was sent."""

    code = "api/ocpp-queue-full"
    title = "Station's queue is full"


class ListenerFull(Busy):
    """The listener holds as many connections, or knows as many stations, as it was allowed to."""

    code = "api/ocpp-listener-full"
    title = "Listener is full"


class ListenerUnsafe(Refused):
    """The listener was asked to serve without TLS on an address that is not loopback."""

    code = "api/ocpp-listener-unsafe"
    title = "Plain listener outside loopback"


class PlanRefused(Refused):
    """The accepted request cannot be turned into commands that keep its limits; nothing was sent."""

    code = "api/ocpp-plan-refused"
    title = "Request cannot be executed"


class RunUnknown(Absent):
    """No execution of this request is running."""

    code = "api/ocpp-run-unknown"
    title = "Execution not running"


class TraceRefused(Refused):
    """A frequency trace is malformed, unordered, or longer than allowed."""

    code = "api/ocpp-trace-refused"
    title = "Frequency trace refused"


class ScenarioRefused(Refused):
    """A scenario file for simulated stations is malformed, out of bounds, or names a station that is not there."""

    code = "api/ocpp-scenario-refused"
    title = "Scenario refused"


class NobodyLetIn(Refused):
    """No simulated station was ever connected; what each was told stands in the lines before."""

    code = "api/ocpp-nobody-let-in"
    title = "No simulated station was let in"


class FleetRefused(Refused):
    """The simulated stations cannot be laid out as asked: a credential, an address or a number does not fit."""

    code = "api/ocpp-fleet-refused"
    title = "Simulated stations cannot be laid out"
