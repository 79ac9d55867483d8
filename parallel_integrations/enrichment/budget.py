"""Cost of rows, and how many more may be submitted."""

from decimal import Context, Decimal, InvalidOperation
from math import inf
from numbers import Real
from typing import Final

from parallel_integrations.errors import InvalidArgumentError
from parallel_integrations.models.prices import PRICES_USD, task_sku

MAX_AMOUNT_USD: Final = 1_000_000_000
# Not the thread's context: a program may have set that to few digits, or to raise.
EXACT: Final = Context(prec=60, traps=[InvalidOperation])


class Budget:
    """The price of a run, and how many runs the limit allows; failed runs are free.

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
        price = _amount("price_per_row_usd", price_per_row_usd)
        limit = _amount("max_cost_usd", max_cost_usd)
        if price is None and (published := PRICES_USD.get(task_sku(processor))) is not None:
            price = _decimal(published)
        if price is None and limit is not None:
            raise InvalidArgumentError(
                f"max_cost_usd={max_cost_usd!r}: the price of processor {processor!r} is not "
                "known here; give it as price_per_row_usd"
            )
        self._price = price
        # In decimal, as written: 0.015 pays for three rows of 0.005, in binary for two.
        self._max_runs = int(EXACT.divide(limit, price)) if price and limit is not None else None

    def remaining_runs(self, runs: int) -> float:
        """How many more runs may be started beside `runs` that are done or in flight."""
        return inf if self._max_runs is None else max(0, self._max_runs - runs)

    def usd(self, runs: int) -> float | None:
        """The cost of so many runs; None where the price is not known."""
        return None if self._price is None else float(EXACT.multiply(self._price, Decimal(runs)))

    def max_usd(self, runs: int) -> float | None:
        """The cost of so many runs, or the limit where that is less."""
        return self.usd(runs if self._max_runs is None else min(runs, self._max_runs))


def _amount(name: str, value: object) -> Decimal | None:
    if value is None:
        return None
    # bool is a Real to Python, and Decimal is not.
    if not isinstance(value, bool) and isinstance(value, Real | Decimal):
        try:
            amount = _decimal(value)
        except (InvalidOperation, ValueError):  # a fraction, which decimal cannot write
            amount = Decimal("NaN")
        if amount.is_finite() and 0 <= amount <= MAX_AMOUNT_USD:
            return amount
    raise InvalidArgumentError(
        f"{name}={value!r:.100} must be an amount of US dollars: a number from 0 to "
        f"{MAX_AMOUNT_USD:,}"
    )


def _decimal(amount: object) -> Decimal:
    return EXACT.create_decimal(str(amount))
