"""What rows cost, and how many more may be asked."""

from decimal import Context, Decimal, InvalidOperation
from numbers import Real
from typing import Final

from parallel_integrations.models.prices import PRICES_USD, task_sku

MAX_AMOUNT_USD: Final = 1_000_000_000
EXACT: Final = Context(prec=60, traps=[InvalidOperation])
"""A context of its own: a program may have set its thread's to few digits, or to raise."""


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
            if value is not None and not _is_amount(value):
                raise ValueError(
                    f"{name}={value!r:.100} must be an amount of US dollars: a number from 0 to "
                    f"{MAX_AMOUNT_USD:,}"
                )
        price = price_per_row_usd
        if price is None:
            price = PRICES_USD.get(task_sku(processor))
        if price is None and max_cost_usd is not None:
            raise ValueError(
                f"max_cost_usd={max_cost_usd!r}: the price of processor {processor!r} is not "
                "known here; give it as price_per_row_usd"
            )
        self.price = price
        self._max_runs = None
        if price and max_cost_usd is not None:
            # As written, in decimal: 0.015 pays for three rows of 0.005.
            self._max_runs = int(EXACT.divide(_decimal(max_cost_usd), _decimal(price)))

    def remaining_runs(self, runs: int) -> float:
        """How many more runs may be started beside `runs` that are done or in flight."""
        return float("inf") if self._max_runs is None else max(0, self._max_runs - runs)

    def usd(self, runs: int | None) -> float | None:
        """What so many runs cost."""
        if self.price is None or runs is None:
            return None
        return float(EXACT.multiply(_decimal(self.price), Decimal(runs)))

    def max_usd(self, runs: int | None) -> float | None:
        """What so many runs cost at most, the limit considered."""
        if runs is not None and self._max_runs is not None:
            runs = min(runs, self._max_runs)
        return self.usd(runs)


def _is_amount(value: object) -> bool:
    # True is a number to Python, and a fraction one that decimal cannot write.
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return False
    try:
        amount = _decimal(value)
    except (InvalidOperation, ValueError):
        return False
    return amount.is_finite() and 0 <= amount <= MAX_AMOUNT_USD


def _decimal(amount: object) -> Decimal:
    return EXACT.create_decimal(str(amount))
