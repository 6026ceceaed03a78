"""Cache a function for all processes of this machine: run this twice.

The second run computes nothing, because the results outlive the program.  (`plib-cache rm
example-decorator` removes them.)
"""

import time

import plib_cache


@plib_cache.cache(cache="example-decorator", expire=3600)
def largest_prime_factor(n: int) -> int:
    """Slow on purpose."""
    print(f"  computing for {n}")
    found, divisor = 1, 2
    while n > 1:
        while n % divisor == 0:
            found, n = divisor, n // divisor
        divisor += 1
    return found


def main() -> None:
    """Ask for the same things again."""
    for _ in range(2):
        for n in (600_851_475_143, 2_000_003, 999_983 * 7):
            began = time.perf_counter()
            answer = largest_prime_factor(n)
            print(f"{answer:>8} in {time.perf_counter() - began:.6f} s")
    info = largest_prime_factor.cache_info()
    print(f"hits of all processes so far: {info.hits}, misses: {info.misses}")
    print(f"seconds of computing saved: {largest_prime_factor.saved_seconds():.3f}")


if __name__ == "__main__":
    main()
