"""Gaussian mixtures that say what k-means says: how far each row is from each cluster."""

import numpy as np
from sklearn.mixture import GaussianMixture


class Mixture(GaussianMixture):
    """A Gaussian mixture that says how far a row is from each cluster, as k-means does.

    The distance is minus the logarithm of the cluster's weight times its density at the row, up to
    a constant: the nearest cluster is the likeliest (Bishop, "Pattern Recognition and Machine
    Learning", 2006, section 9.2).
    """

    def transform(self, inputs: np.ndarray) -> np.ndarray:
        """The distance of each row to each cluster, shape (rows, clusters)."""
        exact = inputs.astype("float64")
        found = [
            (((exact - mean) @ whitening) ** 2).sum(axis=1) / 2
            for mean, whitening in zip(self.means_, self.whitening, strict=True)
        ]
        return np.stack(found, axis=1) + self.offsets

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """The nearest cluster of each row, shape (rows,)."""
        return self.transform(inputs).argmin(axis=1)

    @property
    def whitening(self) -> np.ndarray:
        """What makes each cluster round: shape (clusters, columns, columns), in float64."""
        made, columns = self.precisions_cholesky_.astype("float64"), self.means_.shape[1]
        match self.covariance_type:
            case "full":
                return made
            case "tied":
                return np.broadcast_to(made, (len(self.means_), columns, columns))
            case "diag":
                return np.stack([np.diag(each) for each in made])
        return np.stack([each * np.eye(columns) for each in made])

    @property
    def offsets(self) -> np.ndarray:
        """What a row at each cluster's mean is from it: shape (clusters,), in float64."""
        diagonals = np.diagonal(self.whitening, axis1=1, axis2=2)
        return -np.log(self.weights_.astype("float64")) - np.log(diagonals).sum(axis=1)
