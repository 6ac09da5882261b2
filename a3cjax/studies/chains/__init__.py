"""What one chain for actor and critic costs: Fig. 2 of Shen et al. 2023."""

from a3cjax.studies.chains.mean_field import MeanField, mean_field
from a3cjax.studies.chains.study import ChainsRow, ChainsStudy, chains

__all__ = ["ChainsRow", "ChainsStudy", "MeanField", "chains", "mean_field"]
