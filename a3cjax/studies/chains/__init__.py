"""What one chain for actor and critic costs: Fig. 2 of Shen et al. 2023."""

from a3cjax.studies.chains.mean_field import MeanField, mean_field
from a3cjax.studies.chains.result import ChainsRow, ChainsStudy
from a3cjax.studies.chains.run import chains

__all__ = ["ChainsRow", "ChainsStudy", "MeanField", "chains", "mean_field"]
