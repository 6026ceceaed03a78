"""A grid search over a pipeline whose first step is computed once for each part of the data."""

import tempfile
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from plib_cache.integrations.joblib import Memory, why_miss


class Said(PCA):
    """PCA that says when it works."""

    def fit_transform(self, X, y=None):  # noqa: N803 - as scikit-learn names them
        """Fit, and transform what it was fitted to."""
        print(f"  fitting PCA to {len(X)} rows", flush=True)
        return super().fit_transform(X, y)


def main() -> None:
    """Search twice, with three values of a parameter that the first step does not depend on."""
    digits = load_digits()
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory(Path(folder), verbose=0, backend_options={"size": "256MiB"})
        steps = [("reduce", Said(16)), ("classify", KNeighborsClassifier())]
        search = GridSearchCV(
            Pipeline(steps, memory=memory), {"classify__n_neighbors": [1, 3, 5]}, cv=3, n_jobs=2
        )
        for turn in ("first", "second"):
            print(f"{turn} search:")
            search.fit(digits.data, digits.target)
            print(f"  best: {search.best_params_}, {search.best_score_:.3f}")
        double = memory.cache(lambda x: 2 * x)
        double(1)
        print(why_miss(double, 3))


if __name__ == "__main__":
    main()
