"""joblib.Memory on the memory of the node: three lines differ from a program without plib_cache."""

import tempfile

import joblib
import numpy as np

import plib_cache.integrations.joblib  # changed: makes backend="plib" known


def spectrum(seed: int) -> np.ndarray:
    """Some array that takes a while."""
    print(f"  computing {seed}", flush=True)
    noise = np.random.default_rng(seed).normal(size=(300, 300))
    return np.sort(np.abs(np.linalg.eigvals(noise)))


def main() -> None:
    """Compute in two worker processes, twice."""
    with tempfile.TemporaryDirectory() as folder:
        memory = joblib.Memory(
            folder,
            verbose=0,
            backend="plib",  # changed: was "local"
            backend_options={"size": "64MiB"},  # changed: a limit that enforces itself
        )
        cached = memory.cache(spectrum)
        with joblib.parallel_config(n_jobs=2):
            print("first time:")
            first = joblib.Parallel()(joblib.delayed(cached)(seed) for seed in range(4))
            print("second time:")
            second = joblib.Parallel()(joblib.delayed(cached)(seed) for seed in range(4))
        print("equal:", all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)))
        print("there without computing:", cached.check_call_in_cache(2))
        print("what failed in the cache:", plib_cache.integrations.joblib.failures())


if __name__ == "__main__":
    main()
