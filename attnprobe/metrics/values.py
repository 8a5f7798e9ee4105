"""What keys would add, whatever weight they get."""

from attnprobe.metrics.kinds import ValueMetric

value_norm = ValueMetric(
    of_norms=lambda norms: norms,
    formula="‖v(k)·W_O‖, the length of what key k adds with a weight of 1; mean over tokens",
    unit="as hidden states",
    source="Kobayashi et al. 2020, ‖f(x)‖; of a word, the sum over its pieces; only with -k value_norm",
)
