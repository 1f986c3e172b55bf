"""IR-MAD against canonical correlations worked another way, and what every detector owes."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2
from sklearn.cross_decomposition import CCA

from aisf_geo.change.pair import Epochs, Sample
from aisf_geo.change.spectral import fit_alteration, fit_cva, fit_irmad, normalisation
from aisf_geo.domain.grid import Grid, Shape
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import GridError

GRID = Grid("EPSG:32635", Affine(10, 0, 500_000, 0, -10, 5_000_000), Shape(80, 100))


def two_dates(
    seed: int = 0, changed: float = 0.1
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """8,000 pixels of 4 correlated bands; the second date has other gains, noise, and new ground in ``changed``."""
    rng = np.random.default_rng(seed)
    ground = rng.normal(size=(8000, 3)) @ rng.normal(size=(3, 4)) + 0.3 * rng.normal(size=(8000, 4))
    new = np.zeros(8000, np.bool_)
    new[: int(8000 * changed)] = True
    other = rng.normal(size=(8000, 3)) @ rng.normal(size=(3, 4)) + 2
    after = np.where(new[:, None], other, ground) * [1.3, 0.8, 1.1, 2.0] + [5, -2, 0, 1]
    return ground + 0.05 * rng.normal(size=ground.shape), after + 0.05 * rng.normal(size=ground.shape), new


def by_qr(before: NDArray[np.float64], after: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted canonical correlations by QR and SVD (Björck & Golub 1973): no covariance, no eigenproblem."""
    root = np.sqrt(weights)[:, None]
    q1, q2 = (np.linalg.qr((m - weights @ m / weights.sum()) * root)[0] for m in (before, after))
    return np.sort(np.linalg.svd(q1.T @ q2, compute_uv=False))


class TestMadAgainstOthers:
    def test_one_round_has_the_canonical_correlations_of_scikit_learn(self) -> None:
        before, after, _ = two_dates()
        ours = fit_alteration(before, after, max_rounds=1)
        theirs = CCA(n_components=4, scale=False, max_iter=5000, tol=1e-12).fit(before, after)
        u, v = theirs.transform(before, after)
        expected = sorted(np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(4))
        assert ours.correlation == pytest.approx(expected, abs=1e-5)

    def test_reweighting_is_that_of_nielsen_2007_worked_by_qr(self) -> None:
        before, after, _ = two_dates(1)
        weights, rounds, last = np.ones(len(before)), 0, np.zeros(4)
        while True:
            rho, rounds = by_qr(before, after, weights), rounds + 1
            if np.abs(rho - last).max() < 1e-3:
                break
            root = np.sqrt(weights)[:, None]
            means = [weights @ m / weights.sum() for m in (before, after)]
            (q1, r1), (q2, r2) = (np.linalg.qr((m - c) * root) for m, c in zip((before, after), means, strict=True))
            left, values, right = np.linalg.svd(q1.T @ q2)
            scale = np.sqrt(weights.sum())
            u = (before - means[0]) @ np.linalg.solve(r1, left) * scale
            v = (after - means[1]) @ np.linalg.solve(r2, right.T) * scale
            weights, last = chi2.sf(((u - v) ** 2 / (2 * (1 - values))).sum(axis=1), 4), rho
        ours = fit_alteration(before, after)
        assert ours.rounds == rounds > 2
        assert ours.correlation == pytest.approx(rho, abs=1e-9)

    def test_reweighting_raises_the_correlations_of_what_did_not_change(self) -> None:
        before, after, new = two_dates(2)
        ours = fit_alteration(before, after)
        untouched = fit_alteration(before[~new], after[~new])
        assert ours.correlation == pytest.approx(untouched.correlation, abs=0.01)


@given(st.integers(0, 50), st.lists(st.floats(0.2, 5), min_size=4, max_size=4), st.floats(-10, 10))
@settings(max_examples=15, deadline=None)
def test_no_gain_or_offset_of_a_date_changes_irmad(seed: int, gains: list[float], offset: float) -> None:
    before, after, _ = two_dates(seed)
    plain, scaled = fit_alteration(before, after), fit_alteration(before, after * gains + offset)
    one, two = plain.statistic(before, after), scaled.statistic(before, after * gains + offset)
    assert np.allclose(one, two, rtol=1e-5, atol=1e-6)


class TestDetectors:
    @pytest.mark.parametrize("fit", [fit_irmad, fit_cva])
    def test_new_ground_is_found_and_the_rest_is_not(self, fit: object) -> None:
        before, after, new = two_dates(3)
        found = fit(sample_of(before, after)).detect(epochs_of(before, after)).labels.ravel() == 1  # type: ignore[operator]
        assert found[new].mean() > 0.95
        assert found[~new].mean() < 0.005

    @pytest.mark.parametrize("fit", [fit_irmad, fit_cva])
    def test_two_dates_without_change_show_next_to_none(self, fit: object) -> None:
        before, after, _ = two_dates(4, changed=0)
        found = fit(sample_of(before, after)).detect(epochs_of(before, after)).labels == 1  # type: ignore[operator]
        assert found.mean() < 0.005

    def test_what_was_not_seen_on_one_date_is_not_compared(self) -> None:
        before, after, _ = two_dates(5)
        hidden = np.zeros(tuple(GRID.shape), np.bool_)
        hidden[:10] = True
        answer = fit_irmad(sample_of(before, after)).detect(epochs_of(before, after, hidden))
        assert (answer.labels[hidden] == 65535).all()
        assert (answer.confidence[hidden] == 255).all()
        assert np.isnan(answer.score[hidden]).all()
        assert (answer.labels[~hidden] < 2).all()

    def test_normalisation_finds_gain_and_offset(self) -> None:
        before, after, _ = two_dates(6)
        n = normalisation(sample_of(before, after), fit_alteration(before, after))
        assert n.slope == pytest.approx([1 / 1.3, 1 / 0.8, 1 / 1.1, 1 / 2.0], rel=0.01)

    def test_a_constant_band_is_refused_with_the_remedy(self) -> None:
        before, after, _ = two_dates(7)
        before[:, 2] = 1.0
        with pytest.raises(GridError, match="--use-bands"):
            fit_alteration(before, after)


def sample_of(before: NDArray[np.float64], after: NDArray[np.float64]) -> Sample:
    return Sample(before, after, ("blue", "green", "red", "nir"), {})


def epochs_of(
    before: NDArray[np.float64], after: NDArray[np.float64], hidden: NDArray[np.bool_] | None = None
) -> Epochs:
    valid = np.ones(tuple(GRID.shape), np.bool_) if hidden is None else ~hidden
    rasters = []
    for pixels, seen in ((before, np.ones_like(valid)), (after, valid)):
        values = pixels.T.reshape(4, *GRID.shape).astype(np.float32)
        values[:, ~seen] = np.nan
        rasters.append(Raster(values, seen, GRID, ("blue", "green", "red", "nir")))
    return Epochs(*rasters)
