"""How long generation takes in practice: quantiles of the tokens that a language model's users had generated.

Of the 19,366 requests of one day in ``data/AzureLLMInferenceTrace_conv.csv`` of github.com/Azure/AzurePublicDataset,
published under CC-BY 4.0 (creativecommons.org/licenses/by/4.0) with Patel et al., "Splitwise: Efficient generative LLM
inference using phase splitting", ISCA 2024. The file is not part of this package; these are numbers computed from it,
its column GeneratedTokens at the levels (i + ½)/40, i = 0, …, 39, each the least count at which the level is reached.
All counts have mean 211.1 and coefficient of variation 0.77, the table has 209.4 and 0.76.
"""

from a3cjax.schedules.compute_times import Empirical

QUANTILES = (
    18, 37, 45, 51, 57, 64, 69, 75, 80, 83, 86, 89, 92, 95, 98, 101, 105, 110, 116, 124, 134, 144, 157, 167, 183, 211,
    254, 377, 388, 394, 396, 398, 402, 409, 414, 419, 428, 440, 478, 589,
)  # fmt: skip


def generated_tokens(mean: float = 1.0) -> Empirical:
    """The law of times in proportion to the tokens of a request, scaled to a mean.

    Raises:
        ValueError: if ``mean`` is not positive and finite.

    >>> law = generated_tokens(10.0)
    >>> round(law.mean, 4), round(float(law.values.max()), 1)
    (10.0, 28.1)
    """
    law = Empirical([float(count) for count in QUANTILES])
    return law.scaled(mean / law.mean)
