#!/bin/sh
# An environment for lmms-eval beside spavl, made with pip alone: sh bench/evaluating/bridging/lmms_environment.sh FOLDER [PYTHON]
#
# lmms-eval needs torchvision. PyPI's torchvision is built for torch with CUDA: beside a torch without CUDA its
# operators cannot be loaded, and importing it fails ("operator torchvision::nms does not exist"), although its
# transforms are plain Python. So this writes a sitecustomize.py that declares the two operators; nothing is patched.
# Where pip can reach torch's own index, `--index-url https://download.pytorch.org/whl/cpu` gives builds that fit
# without it. Set PIP_FIND_LINKS where a wheel of torch lies on this machine.
set -eu
folder=$1
python=${2:-python3}
"$python" -m venv "$folder"
pip="$folder/bin/pip install --quiet --disable-pip-version-check"
$pip "torch==${TORCH:-2.13.0}"
$pip --no-deps "torchvision==${TORCHVISION:-0.28.0}"
$pip "lmms-eval==0.7.3" "torch==${TORCH:-2.13.0}" "torchvision==${TORCHVISION:-0.28.0}" "transformers==5.23.0" peft accelerate
# spavl's own dependencies; filelock 4 is what spavl wants, and lmms-eval's patch of filelock 3 is left out by the bridge
$pip aiohttp datasketch duckdb "filelock>=4.2" huggingface_hub jinja2 psutil pyarrow pyyaml rich scipy stamina typer \
  typing_extensions jaxtyping safetensors tensorboard
site=$("$folder/bin/python" -c "import site; print(site.getsitepackages()[0])")
cat > "$site/sitecustomize.py" <<'PYTHON'
"""Lets PyPI's torchvision, whose operators are built for CUDA, be imported beside a torch without CUDA.

torchvision registers shape functions of `nms` and `qnms` whether or not its operators could be loaded; torch refuses
one for an operator that nobody has defined. Its transforms are Python and need none of the operators.
"""

import importlib.abc
import sys


class _DefineOperators(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            if torch.version.cuda is None:
                boxes = "Tensor dets, Tensor scores, float iou_threshold"
                for operator in ("nms", "qnms"):
                    torch.library.define(f"torchvision::{operator}", f"({boxes}) -> Tensor")


sys.meta_path.insert(0, _DefineOperators())
PYTHON
"$folder/bin/python" -c "import torchvision, lmms_eval.tasks; print('lmms-eval can be used:', '$folder/bin/python')"
