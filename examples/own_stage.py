"""A stage of your own among those that make the dataset. Run it: `python examples/own_stage.py`.

It needs no GPU, no key and no network: pictures, asker, guard, judge and responders are those of the miniature world.
"""

# %% The stage: a function from records to records, and where it stands
from collections.abc import Sequence

import spavl


def whole_answers(responses: Sequence[spavl.Response], at: spavl.StageContext) -> list[spavl.Response]:
    """Leave out answers that were cut off or have fewer than six words, so that no judge sees them."""
    return [r for r in responses if r.response_status == "ok" and len(r.response.split(" ")) >= 6]


WHOLE_ANSWERS = spavl.Stage(
    name="whole answers", after="grade", reads=spavl.Response, writes=spavl.Response, work=whole_answers,
    noun="whole answers",
)  # fmt: skip

# %% One line of the settings puts it into its place: `build.stages`
WORLD = ("asker", "guard", "judge")
RESPONDERS = ["amber", "grove", "lark"]
run = spavl.open_run(
    {
        "out": "runs/examples/own_stage",
        "limit": 30,
        "models": [
            *({"name": name, "kind": "python", "target": f"spavl.miniworld.oracle:{name.title()}", "version": "1"}
              for name in WORLD),
            *({"name": name, "kind": "local", "path": f"miniworld:responders/{name}"} for name in RESPONDERS),
        ],
        "guards": [{"name": "guard"}],
        "judges": [{"name": "judge"}],
        "build": {
            "stages": ["__main__:WHOLE_ANSWERS"],
            "collect": {"source": "miniworld", "per_subcategory": 1},
            "respond": {"models": RESPONDERS, "sampling": {"temperature": 1.0, "max_tokens": 24}},
            "match": {"groups": 3},
        },
    },
    allow_code=True,  # it runs the function above
)  # fmt: skip

# %% It has a line of its own in the counts, in `run.json` and in the report; the stages after it read what it leaves
for stage, counts in run.build().items():
    print(f"{stage:<14} {', '.join(f'{number} {what}' for what, number in counts.items())}")
shortest = min(len(pair.chosen.split(" ")) for pair in run.records(spavl.PreferencePair))
print(f"The shortest chosen answer has {shortest} words.")
