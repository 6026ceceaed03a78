"""trust="data": a cache that neither stores nor reads anything that would run code.

By default values may be pickles, and whoever may write into a cache could make its readers run
code.  Caches belong to one user, so that is you; where you share one with programs that you trust
less, ask for plain data.
"""

import datetime
import decimal

import plib_cache


class Account:
    """An object of one's own: only a pickle can hold it."""


def main() -> None:
    """Store plain data, and try something else."""
    with plib_cache.Cache("example-trust-data", size="16MiB", trust="data") as cache:
        cache["plain"] = {
            "when": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
            "price": decimal.Decimal("9.99"),
            "tags": ("a", "b"),
        }
        print("plain data:", cache["plain"])
        try:
            cache["object"] = Account()
        except plib_cache.SerializationError as error:
            print("refused:", error)

    with plib_cache.Cache("example-trust-data") as trusting:
        trusting["object"] = Account()  # another program stores a pickle ...

    with plib_cache.Cache("example-trust-data", trust="data") as cache:
        try:
            cache.get("object")
        except plib_cache.SerializationError as error:  # ... and it is not read
            print("refused:", error)


if __name__ == "__main__":
    main()
