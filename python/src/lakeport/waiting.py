"""What a call returns that goes on after its answer.

Owns: reading the fields of what was answered without waiting for the end. The waiting is the SDK's.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

from databricks.sdk.service._internal import Wait

Result = TypeVar("Result")


class Waiting(Wait[Result]):
    """The SDK's wait object, which also has the fields of what is waited for.

    They are those of the call's answer, and after `result()` those of the result.
    """

    if TYPE_CHECKING:  # Each field of what is waited for.

        def __getattr__(self, key: str) -> Any: ...

    else:

        def __getattr__(self, key: str) -> Any:
            # Looked up in the instance alone: whoever copies or unpickles it asks before it has any.
            seen = self.__dict__.get("response")
            try:
                return getattr(seen, key)
            except AttributeError:
                pass
            bound = self.__dict__.get("_bind", {})
            if key in bound:
                return bound[key]
            raise AttributeError(f"{type(seen).__name__} has no field {key!r}")

    @classmethod
    def of(cls, wait: Wait[Result]) -> Waiting[Result]:
        """The same wait, with the fields."""
        return cls(wait._waiter, response=wait.response, **wait.bind())

    def result(
        self,
        timeout: timedelta = timedelta(minutes=20),
        callback: Optional[Callable[[Result], None]] = None,
    ) -> Result:
        """Waits for the end, and returns what is then there."""
        self.response = super().result(timeout=timeout, callback=callback)
        return self.response

    def __repr__(self) -> str:
        return f"Waiting({self.__dict__.get('response')!r})"
