"""A battery in integers: state of charge, losses, taper near full, a floor with a soft knee."""

from dataclasses import dataclass

WATT_MS_PER_WH = 3_600_000
PERMILLE = 1000


@dataclass(slots=True, kw_only=True)
class Battery:
    """Energy in W x ms. Charging tapers linearly from `taper_permille` of charge to nothing at full; discharging from
    `knee_permille` to nothing at `floor_permille`. `efficiency_permille` is lost on the way in, and on the way out."""

    capacity_wh: int
    soc_permille: int = 500
    taper_permille: int = 800
    floor_permille: int = 200
    knee_permille: int = 250
    efficiency_permille: int = 950
    stored_watt_ms: int = -1

    def __post_init__(self) -> None:
        if self.stored_watt_ms < 0:
            self.stored_watt_ms = self.capacity_wh * WATT_MS_PER_WH * self.soc_permille // PERMILLE

    @property
    def full_watt_ms(self) -> int:
        """What it holds when full."""
        return self.capacity_wh * WATT_MS_PER_WH

    def permille(self) -> int:
        """The state of charge, 0..1000."""
        return self.stored_watt_ms * PERMILLE // self.full_watt_ms

    def charge_limit_w(self, max_w: int) -> int:
        """How fast it takes energy now, at most `max_w`."""
        soc = self.permille()
        if soc <= self.taper_permille:
            return max_w
        return max_w * (PERMILLE - soc) // (PERMILLE - self.taper_permille)

    def discharge_limit_w(self, max_w: int) -> int:
        """How fast it gives energy now, at most `max_w`."""
        soc = self.permille()
        if soc >= self.knee_permille:
            return max_w
        return max(0, max_w * (soc - self.floor_permille) // (self.knee_permille - self.floor_permille))

    def pass_energy(self, power_w: int, duration_ms: int) -> None:
        """`power_w` flowed for `duration_ms` (> 0 into it, measured at the meter)."""
        energy = power_w * duration_ms
        if energy > 0:
            energy = energy * self.efficiency_permille // PERMILLE
        else:
            energy = energy * PERMILLE // self.efficiency_permille
        self.stored_watt_ms = min(self.full_watt_ms, max(0, self.stored_watt_ms + energy))
