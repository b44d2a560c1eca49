"""The linear model of images that others are compared with: principal components (Tipping & Bishop 1999)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

Images = Float[np.ndarray, "images pixels"]


@dataclass(frozen=True)
class PrincipalComponents:
    """x = mean + W z + noise with z ~ N(0, 1), at its maximum likelihood; without noise plain principal components."""

    mean: Float[np.ndarray, "pixels"]
    directions: Float[np.ndarray, "pixels components"]
    """Orthonormal."""
    loadings: Float[np.ndarray, "pixels components"]
    """W: directions times sqrt(variance - noise)."""
    noise: float
    """Variance that no component has, over a pixel."""

    @classmethod
    def fit(cls, images: Images, *, count: int) -> "PrincipalComponents":
        """The first `count` components, fewer where the images have fewer pixels than these and one."""
        mean = images.mean(axis=0)
        _, singular, rows = np.linalg.svd(images.astype(np.float64) - mean, full_matrices=False)
        variances = np.square(singular) / len(images)
        count, pixels = min(count, images.shape[1] - 1, len(variances)), images.shape[1]
        noise = float(variances[count:].sum() / (pixels - count))
        directions = rows[:count].T
        loadings = directions * np.sqrt(np.maximum(variances[:count] - noise, 0))
        return cls(mean.astype(np.float64), directions, loadings, noise)

    def reconstructed(self, images: Images) -> Images:
        """Projections onto the components: of all linear maps of this rank the one of least error on its own images."""
        return (images - self.mean) @ self.directions @ self.directions.T + self.mean

    def completed(self, images: Images, *, seen: Bool[np.ndarray, "pixels"]) -> Images:
        """E[mean + W z given the pixels that are `seen`]: of the others their conditional mean."""
        upper = self.loadings[seen]
        information = upper.T @ upper + self.noise * np.eye(upper.shape[1])
        scores = np.linalg.solve(information, upper.T @ (images[:, seen] - self.mean[seen]).T).T
        return scores @ self.loadings.T + self.mean
