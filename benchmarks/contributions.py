"""What GlobEnc and ALTI cost beside the published codes' way, tensors query × key × d, over the same 128 tokens.

The published way is written anew here, in float32: each layer makes the vectors of all heads, queries and keys, and
norms them. Everything runs in turns in one process; the ratio of medians of processor time on one thread counts. Memory
is that of processes of their own, beside one that only runs the plain model.

    python benchmarks/contributions.py [ROUNDS]
"""

import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from rollout import WORDS, clock
from torch.nn.functional import layer_norm, pairwise_distance
from transformers import AutoModel

from attnprobe import load_encoder
from attnprobe.analyses.contributions import alti_of, globenc_of
from attnprobe.analyses.flow import FLOW
from attnprobe.analyses.written import Written
from attnprobe.models.sublayers import Norm, Sublayers, visit_sublayers

TOKENS = 128


def published(layer: Sublayers, method: str) -> torch.Tensor:
    """Computes one layer's contributions with all vectors held."""
    weights, values, maps = (t.float() for t in (layer.parts.weights, layer.parts.values, layer.parts.output_weights))
    x, summed = layer.x.float(), layer.summed.float()
    weighted = torch.einsum("hqk,hkd->hqkd", weights, values @ maps).sum(0)
    vectors = weighted + torch.einsum("qk,qd->qkd", torch.eye(len(x)), x)
    vectors = normed(vectors, layer.norm, summed)
    y = whole_normed(layer.norm, summed)
    if method == "alti":
        distance = pairwise_distance(vectors, y[:, None], p=1)
        return (y.abs().sum(-1, keepdim=True) - distance).clamp(min=0)
    return normed(vectors, layer.output_norm, layer.last_sum.float()).norm(dim=-1)


def whole_normed(norm: Norm, whole: torch.Tensor) -> torch.Tensor:
    return layer_norm(whole, whole.shape[-1:], norm.weight.float(), norm.bias.float(), norm.eps)


def normed(vectors: torch.Tensor, norm: Norm, whole: torch.Tensor) -> torch.Tensor:
    size = (whole.var(-1, unbiased=False) + norm.eps).sqrt()
    return (vectors - vectors.mean(-1, keepdim=True)) / size[:, None, None] * norm.weight.float()


def compare(rounds: int) -> None:
    encoder = load_encoder()
    model = AutoModel.from_pretrained(encoder.location.folder, attn_implementation="eager").eval()
    [tokens] = encoder.tokenize(WORDS, max_length=TOKENS)
    inputs = {name: torch.tensor([values]) for name, values in tokens.inputs.items()}
    layers: list[Sublayers] = []
    visit_sublayers(encoder, tokens, range(encoder.layers), layers.append)
    runs: dict[str, Callable[[], object]] = {
        "plain forward": lambda: model(**inputs),
        "globenc, published way": lambda: [published(layer, "globenc") for layer in layers],
        "globenc": lambda: [globenc_of(encoder, Written(layer)) for layer in layers],
        "alti, published way": lambda: [published(layer, "alti") for layer in layers],
        "alti": lambda: [alti_of(Written(layer)) for layer in layers],
        "flow --method globenc": lambda: FLOW(WORDS, encoder, method="globenc", max_length=TOKENS),
        "flow --method alti": lambda: FLOW(WORDS, encoder, method="alti", max_length=TOKENS),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for run in runs.values():
            run()  # loads the compiled loop
        for _ in range(rounds):
            for name, run in runs.items():
                clock(run, times[name])
    median = {name: statistics.median(found) for name, found in times.items()}
    for name, seconds in median.items():
        print(f"{name}: {1000 * seconds:.0f} ms")
    for method in ("globenc", "alti"):
        way = median[f"{method}, published way"]
        whole = (way + median["plain forward"]) / median[f"flow --method {method}"]
        print(f"{method}: {way / median[method]:.0f} x faster; with the model and all checks {whole:.1f} x")


def peak(name: str) -> None:
    """Prints the most memory that a process has had, in MiB, since it loaded the model: of a plain run, or a method."""
    encoder = load_encoder()
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak begins anew
    if name == "forward":
        [tokens] = encoder.tokenize(WORDS, max_length=TOKENS)
        inputs = {name: torch.tensor([values]) for name, values in tokens.inputs.items()}
        with torch.inference_mode():
            encoder.model(**inputs)
    else:
        FLOW(WORDS, encoder, method=name, max_length=TOKENS)
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print(int(line.split()[1]) / 1024)


def measured(name: str) -> float:
    return float(subprocess.run([sys.executable, __file__, name], capture_output=True, check=True, text=True).stdout)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:] and not sys.argv[1].isdigit():
        peak(sys.argv[1])
    else:
        compare(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
        forward = measured("forward")
        for method in ("globenc", "alti"):
            print(f"memory of {method}: {measured(method) / forward:.2f} x the plain forward's {forward:.0f} MiB")
