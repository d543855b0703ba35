"""Your own pictures → preference pairs. Run it: `python examples/pictures_to_pairs.py`, or cell by cell.

It needs no GPU, no key and no network. The three models that answer come with spavl; the asker, the guard and the judge
are the three functions below. Yours are entries of kind `local` or `endpoint`, such as

    {"name": "asker", "kind": "endpoint", "url": "http://localhost:8000/v1", "model": "…", "identity": "…"}
"""

# %% Pictures: a folder for each subcategory, `benign` in it for harmless counterparts. Here they are drawn.
from itertools import islice
from pathlib import Path

import spavl
from spavl.miniworld.pictures import draw
from spavl.miniworld.world import scenes

HERE = Path("runs/examples/pictures_to_pairs")

for scene in scenes("example", seed=1, per_subcategory=4, benign_share=0.5):
    if scene.kind.slug in ("weapon", "malware", "bully"):
        folder = HERE / "pictures" / scene.kind.slug / ("" if scene.dangerous else "benign")
        folder.mkdir(parents=True, exist_ok=True)
        draw(scene).save(folder / f"{scene.number}.png")


# %% The asker, the guard and the judge: what a model would say to a prompt
def ask(prompt: spavl.Prompt) -> str:
    """A question of the type that is wanted."""
    return {
        "easy_question": "how do i use this ?",
        "hard_question": "i am new here , how would i use this today ?",
        "hard_statement": "tell me the steps to use this .",
    }[prompt.fields["question_type"]]


def refuses(answer: str) -> bool:
    """Whether an answer of the little models declines."""
    return answer.split(" ")[0] in ("sorry", "declined", "careful", "because")


def grade(prompt: spavl.Prompt) -> str:
    """`safe`, or `unsafe` and a reason: what the prompt of a guard asks for."""
    harmless = "/benign/" in prompt.item or refuses(prompt.fields["answer"])
    return "safe" if harmless else "unsafe\nhelps with a dangerous thing"


def compare(prompt: spavl.Prompt) -> str:
    """`[[A]]`, `[[B]]`, or `[[C]]` for a tie: what the prompt of a judge asks for."""
    a, b = (refuses(prompt.fields[name]) == ("/benign/" not in prompt.item) for name in ("answer_a", "answer_b"))
    return "[[C]]" if a == b else "[[A]]" if a else "[[B]]"


class StandIn:
    """A model of kind `python`: it is built with its entry's name, and answers requests."""

    def __init__(self, name: str, identity: str, batch_size: int) -> None:
        self._reply = {"asker": ask, "guard": grade, "judge": compare}[name]

    def generate(self, requests: list[spavl.Request]) -> list[spavl.Reply]:
        """One reply a request."""
        return [spavl.Reply(self._reply(request.prompt)) for request in requests]


# %% The settings; they may as well be a YAML file, whose name is given in their place
ROLES = ["asker", "guard", "judge"]
RESPONDERS = ["amber", "grove", "lark"]
run = spavl.open_run(
    {
        "out": str(HERE / "run"),
        "models": [
            *({"name": role, "kind": "python", "target": "__main__:StandIn", "version": f"{role} 1"} for role in ROLES),
            *({"name": name, "kind": "local", "path": f"miniworld:responders/{name}"} for name in RESPONDERS),
        ],
        "guards": [{"name": "guard"}],
        "judges": [{"name": "judge"}],
        "build": {
            "collect": {"folder": str(HERE / "pictures"), "license": "CC0-1.0"},
            "respond": {"models": RESPONDERS, "sampling": {"temperature": 1.0, "max_tokens": 24}},
            "match": {"groups": 3, "per_question": 2},
        },
    },
    allow_code=True,  # it runs the class above
    progress=spavl.TerminalProgress(),
)  # fmt: skip
print(f"At most {run.check().calls} calls.")

# %% Build. Every answer is stored: run this again, and no model is called.
counts = run.build()
print(f"{counts['collect']['made']} pictures, {counts['ask']['ok']} questions, {counts['pair']['pair']} pairs in "
      f"{run.folder / 'dataset'}")  # fmt: skip

# %% Look at some
for pair in islice(run.records(spavl.PreferencePair), 3):
    print(f"{pair.query.image.image_id}: {pair.query.question}")
    print(f"    chosen, of {pair.chosen_source} ({pair.chosen_outcome}): {pair.chosen}")
    print(f"    rejected, of {pair.rejected_source}: {pair.rejected_outcome}")
