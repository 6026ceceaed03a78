# SPDX-License-Identifier: BSD-3-Clause
"""The work of the demo: which features and which model read handwritten digits best?

1,797 digits come with scikit-learn.  A task is one cross-validated fit: features of one kind, one
model with one setting, one fold.  Three searches, each in a process of its own, look at different
but overlapping kinds of features, as colleagues on one machine do.

Imports of scikit-learn are where it is used, so that a process that only hands out tasks is light.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

Function = Callable[..., Any]

KINDS = ("scaled pixels", "principal components", "gradients", "kernel map")
MODELS = (("SVM", 1.0), ("SVM", 10.0), ("logistic", 0.1), ("forest", 40), ("neighbours", 5))
FOLDS = 3
SEARCHES = 3

computed: list[str] = []  # what this process has really computed, in its order


def announce(what: str) -> None:
    """Called before each computation; a program may put something else in its place."""


class Task(NamedTuple):
    """One fit of the search."""

    kind: str
    model: str
    setting: float
    fold: int

    @property
    def name(self) -> str:
        return f"{self.model} {self.setting:g} on {self.kind}, fold {self.fold + 1}"


def tasks(search: int, quick: bool = False) -> list[Task]:
    """The tasks of a search, beginning at another place than those of the other searches."""
    kinds, models = (KINDS[1:3], MODELS[:2]) if quick else (KINDS, MODELS)
    wanted = [kind for n, kind in enumerate(kinds) if quick or n != search]
    folds = range(2 if quick else FOLDS)
    listed = [
        Task(kind, model, setting, fold)
        for kind in wanted
        for model, setting in models
        for fold in folds
    ]
    random.Random(search).shuffle(listed)
    return listed


def workers(quick: bool) -> int:
    """How many worker processes joblib and dask start."""
    return 2 if quick else SEARCHES


def begin(what: str) -> None:
    """Note that this process computes something itself."""
    computed.append(what)
    announce(what)


def warm_up() -> None:
    """Import what the work needs, so that it is not counted as work."""
    digits()
    _classifier("forest", 1)


def digits() -> Any:
    """The data: images in ``data``, the digits that they show in ``target``."""
    from sklearn.datasets import load_digits

    return load_digits()


def features(kind: str) -> Any:
    """The digits, described in one of four ways, one row each."""
    import numpy as np
    from sklearn.decomposition import PCA
    from sklearn.kernel_approximation import Nystroem
    from sklearn.preprocessing import StandardScaler

    begin(f"features: {kind}")
    pixels = digits().data
    if kind == "scaled pixels":
        found = StandardScaler().fit_transform(pixels)
    elif kind == "principal components":
        found = PCA(n_components=30, random_state=0).fit_transform(pixels)
    elif kind == "gradients":
        found = _gradients(pixels.reshape(-1, 8, 8))
    else:
        kernel = Nystroem(gamma=5e-4, n_components=200, random_state=0)
        found = kernel.fit_transform(pixels)
    return np.ascontiguousarray(found, dtype=np.float32)


def _gradients(images: Any) -> Any:
    """Histograms of the directions of the strokes, in 9 overlapping windows."""
    import numpy as np

    rows, columns = np.gradient(images, axis=(1, 2))
    strength, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
    direction = ((angle + np.pi) / (2 * np.pi) * 8).astype(int) % 8
    windows = [np.s_[:, y : y + 4, x : x + 4] for y in (0, 2, 4) for x in (0, 2, 4)]
    parts = [
        (strength[window] * (direction[window] == d)).sum(axis=(1, 2))
        for window in windows
        for d in range(8)
    ]
    return np.stack(parts, axis=1)


def accuracy(rows: Any, model: str, setting: float, fold: int) -> float:
    """How many digits of a fold a model reads right that was trained on the others."""
    from sklearn.model_selection import StratifiedKFold

    begin(f"fit: {model} {setting:g}, fold {fold + 1}")
    target = digits().target
    split = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(rows, target)
    train, test = list(split)[fold]
    fitted = _classifier(model, setting).fit(rows[train], target[train])
    return float(fitted.score(rows[test], target[test]))


def _classifier(model: str, setting: float) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    if model == "SVM":
        return SVC(C=setting)
    if model == "logistic":
        return LogisticRegression(C=setting, max_iter=300)
    if model == "forest":
        return RandomForestClassifier(int(setting), random_state=0)
    return KNeighborsClassifier(int(setting))


def perform(task: Task, features: Function, accuracy: Function) -> dict[str, Any]:
    """Do a task with the given functions; what came out, and what had to be computed for it."""
    before, began = len(computed), time.perf_counter()
    value = accuracy(features(task.kind), task.model, task.setting, task.fold)
    return {
        "event": "task",
        "pid": os.getpid(),
        "task": task.name,
        "value": value,
        "computed": computed[before:],
        "seconds": time.perf_counter() - began,
    }


def perform_plain(task: Task) -> dict[str, Any]:
    """Do a task and everything that it needs."""
    return perform(task, features, accuracy)
