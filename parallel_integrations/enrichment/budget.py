"""What rows cost, and how many more may be asked."""

from decimal import Decimal
from math import isfinite

from parallel_integrations.api.prices import PRICES_USD, task_sku


class Budget:
    """What is spent, what is reserved for runs in flight, and what is left; failed runs are free.

    Args:
        processor: Decides the price of a row.
        price_per_row_usd: The price, where it is another than the published one.
        max_cost_usd: What must never be passed.

    Raises:
        ValueError: An amount that cannot be right, or a limit for a price that is not known.
    """

    def __init__(
        self,
        processor: str,
        price_per_row_usd: float | None = None,
        max_cost_usd: float | None = None,
    ) -> None:
        for name, value in (
            ("price_per_row_usd", price_per_row_usd),
            ("max_cost_usd", max_cost_usd),
        ):
            if value is not None and not (isfinite(value) and value >= 0):
                raise ValueError(f"{name}={value!r} must be an amount of US dollars, 0 or more")
        price = price_per_row_usd
        if price is None:
            price = PRICES_USD.get(task_sku(processor))
        if price is None and max_cost_usd is not None:
            raise ValueError(
                f"max_cost_usd={max_cost_usd!r}: the price of processor {processor!r} is not "
                "known here; give it as price_per_row_usd"
            )
        self.price = price
        self._most = None
        if price and max_cost_usd is not None:
            # As written, in decimal: 0.015 pays for three rows of 0.005.
            self._most = int(Decimal(str(max_cost_usd)) / Decimal(str(price)))

    def room(self, runs: int) -> float:
        """How many more runs may be started beside `runs` that are done or in flight."""
        return float("inf") if self._most is None else max(0, self._most - runs)

    def usd(self, runs: int | None) -> float | None:
        """What so many runs cost."""
        if self.price is None or runs is None:
            return None
        return float(Decimal(str(self.price)) * runs)

    def most_usd(self, runs: int | None) -> float | None:
        """What so many runs cost at most, the limit considered."""
        if runs is not None and self._most is not None:
            runs = min(runs, self._most)
        return self.usd(runs)
