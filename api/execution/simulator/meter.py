"""A meter: registers in whole mWh, an error inside its class, pagination, and OCMF texts with a real ECDSA signature.

Each OCMF text holds both registers: 01-00:B0.08.00*FF is import, 01-00:C0.08.00*FF is export (OCMF 1.4, at the mains).
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.execution.simulator import noise
from ledger.delivery.meter import MeterReading, build_payload
from ledger.delivery.ocmf import sign_ocmf
from ledger.delivery.readings import Pagination

WATT_MS_PER_MILLIWH = 3600
PPM = 1_000_000
PERMILLE = 1000
IMPORT_OBIS = "01-00:B0.08.00*FF"
EXPORT_OBIS = "01-00:C0.08.00*FF"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
MAX_DECIMALS = 6


def seeded_key(seed: int, serial: str) -> ec.EllipticCurvePrivateKey:
    """A P-256 key that follows from seed and serial: for simulation only, anyone with the seed has it."""
    parts = [noise.channel(seed, f"key/{serial}/{index}") for index in range(5)]
    number = 0
    for part in parts:
        number = number << 64 | part
    return ec.derive_private_key(1 + number % (P256_ORDER - 1), ec.SECP256R1())


@dataclass(slots=True, kw_only=True)
class Meter:
    """One EVSE's meter. `error_ppm` is its true deviation, inside the class; `lie_permille` is what fraud makes of it.

    `decimals` of a kWh are shown; the register behind them is in mWh. `time_state` is OCMF's: S synchronised,
    I informative, U unknown, R relative.
    """

    serial: str
    key: ec.EllipticCurvePrivateKey
    error_ppm: int = 0
    lie_permille: int = 1000
    decimals: int = MAX_DECIMALS
    time_state: str = "S"
    charge_point: str = ""
    pagination: int = 0
    import_watt_ms: int = 0
    export_watt_ms: int = 0

    def measured_w(self, power_w: int) -> int:
        """The power it registers when `power_w` flows."""
        return power_w * (PPM + self.error_ppm) // PPM

    def shown_w(self, power_w: int) -> int:
        """The power it reports when `power_w` flows; differs from what it registers only if it lies."""
        return self.measured_w(power_w) * self.lie_permille // PERMILLE

    def pass_energy(self, power_w: int, duration_ms: int) -> None:
        """`power_w` (as read) flowed for `duration_ms`; exactly that is registered."""
        if power_w >= 0:
            self.import_watt_ms += power_w * duration_ms
        else:
            self.export_watt_ms -= power_w * duration_ms

    @property
    def import_milliwh(self) -> int:
        """The import register."""
        return self.import_watt_ms // WATT_MS_PER_MILLIWH

    @property
    def export_milliwh(self) -> int:
        """The export register."""
        return self.export_watt_ms // WATT_MS_PER_MILLIWH

    def public_key_der(self) -> bytes:
        """SubjectPublicKeyInfo, as a conformity claim or certificate binds it."""
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign_reading(self, at_ms: int, transaction_code: str, *, status: str = "G") -> str:
        """One OCMF text with both registers at `at_ms`, signed; the pagination goes up by one.

        `transaction_code` is OCMF's TX: B begin, C charging, E end, and so on. The same payload and key give the same
        signature (RFC 6979), so a simulated day can be repeated byte for byte.
        """
        self.pagination += 1
        registers = ((self.import_milliwh, IMPORT_OBIS), (self.export_milliwh, EXPORT_OBIS))
        payload = build_payload(
            meter_serial=self.serial,
            pagination=Pagination("T", self.pagination),
            readings=[
                MeterReading(
                    at_ms=at_ms,
                    energy_milliwh=milliwh,
                    transaction=transaction_code,
                    time_state=self.time_state,
                    obis=obis,
                    decimals=self.decimals,
                    meter_state=status,
                )
                for milliwh, obis in registers
            ],
            evse_id=self.charge_point,
        )
        return sign_ocmf(payload, self.key)
