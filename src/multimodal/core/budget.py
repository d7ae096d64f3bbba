"""The time that a training may take, and how much of it each step may have."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from multimodal.core.config import Training
from multimodal.core.formatting import duration, listed

# What the steps of a training take of its time, in the order they are taken: what a budget gives
# them, and what the time left is estimated by. The last three may be left out.
SHARES = {
    "networks": 0.65,
    "stacking": 0.10,
    "explanations": 0.10,
    "baselines": 0.12,
    "report": 0.03,
}
REPORT_SECONDS = 10.0  # kept for the report


class Budget:
    """The time that a training may take, how much of it is left, and what was left out for it.

    Without `training.minutes` nothing is left out; the time that is left is estimated all the same.

    Args:
        training: Which steps are wanted, and the minutes for all of them.
        spent: What `record` returned before a kill.
        clock: Tells the time in seconds.

    Example:
    >>> now = [0.0]
    >>> budget = Budget(Training(minutes=10), clock=lambda: now[0])
    >>> budget.begin("networks"); budget.networks_left()
    390.0
    >>> now[0] = 500.0
    >>> budget.allows("explanations", 60.0), budget.allows("the RNN baseline", 200.0)
    (True, False)
    >>> budget.note()
    'the RNN baseline was left out, to keep to 10 minutes'
    """

    def __init__(
        self,
        training: Training | None = None,
        spent: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        training, spent = training or Training(), spent or {}
        self.minutes = training.minutes
        self.limit = math.inf if training.minutes is None else 60.0 * training.minutes
        self.reserve = min(REPORT_SECONDS, 0.1 * self.limit)
        self.left_out: list[str] = []
        self.stopped: list[str] = []
        # Called where what is spent should be written down, and where a step begins.
        self.keep: Callable[[], None] = lambda: None
        self.show: Callable[[], None] = lambda: None
        wanted = {s: share for s, share in SHARES.items() if getattr(training, s, True)}
        self._shares = {s: share / sum(wanted.values()) for s, share in wanted.items()}
        self.clock, self._began = clock, clock() - spent.get("seconds", 0.0)
        self._networks_end = spent.get("networks_end", math.inf)
        self.step = ""  # in words
        self._first = self._width = self._done = 0.0
        self._worked = 0.0  # what is done, without what was left out
        self._start: float | None = None  # of the first step
        self._estimate: tuple[float, float] | None = None  # seconds left, and when that was

    def record(self) -> dict[str, float]:
        """Return what is spent, to go on with after a kill."""
        found = {"seconds": self.seconds(), "networks_end": self._networks_end}
        return {name: seconds for name, seconds in found.items() if math.isfinite(seconds)}

    def seconds(self) -> float:
        """Return the seconds spent, those before a kill included."""
        return self.clock() - self._began

    def left(self) -> float:
        """Return the seconds left, infinitely many without a limit."""
        return self.limit - self.seconds()

    def networks_left(self) -> float:
        """Return the seconds that are left to the networks."""
        return self._networks_end - self.seconds()

    def begin(self, step: str, part: int = 0, parts: int = 1) -> None:
        """Begin a step of `SHARES`, or part number `part` of it."""
        self.advance(1.0)  # of the part before
        before = list(self._shares)[: list(self._shares).index(step)]
        self.step = f"network {part + 1} of {parts}" if parts > 1 else step
        self._width = self._shares[step] / parts
        self._first = sum(self._shares[each] for each in before) + part * self._width
        if step == "networks" and math.isinf(self._networks_end):
            self._networks_end = self.seconds() + self._shares[step] * self.left()
        self._done = self._first
        self.advance(0.0)
        self.keep()
        self.show()

    def advance(self, fraction: float) -> None:
        """Note that a fraction of the step that has begun is done."""
        now, before = self.seconds(), self._done
        self._done = self._first + fraction * self._width
        self._worked += self._done - before
        if self._start is None:
            self._start = now
        elif self._worked >= 0.01:  # from less nothing follows
            self._estimate = (now - self._start) / self._worked * (1 - self._done), now

    def done(self) -> float:
        """Return the fraction of the training that is done, by the usual shares of its steps."""
        return self._done

    def remaining(self) -> str:
        """Return in words how long the rest will take; nothing as long as that is unknown."""
        left = self.left()
        if self._estimate is not None:
            left = min(left, self._estimate[0] - self.seconds() + self._estimate[1])
        if math.isinf(left):
            return ""
        # An estimate: whole minutes where there are some.
        whole = duration(60 * round(left / 60)).removesuffix(" 0 s")
        return f"about {whole if left > 90 else f'{max(left, 1.0):.0f} s'} left"

    def allows(self, what: str, seconds: float) -> bool:
        """Return whether something of so many seconds fits in before the report; note if not."""
        fits = seconds <= self.left() - self.reserve
        if not fits and what not in self.left_out:  # for another head, perhaps
            self.left_out.append(what)
        return fits

    def note(self) -> str:
        """Return in a sentence what the budget has cost; nothing where that is nothing."""
        said = list(self.stopped)
        if self.left_out:
            several = len(self.left_out) > 1 or self.left_out[0].split()[0].endswith("s")
            said.append(f"{listed(self.left_out)} {'were' if several else 'was'} left out")
        if not said:
            return ""
        minutes = f"{self.minutes:g} minute{'' if self.minutes == 1 else 's'}"
        return f"{'; '.join(said)}, to keep to {minutes}"
