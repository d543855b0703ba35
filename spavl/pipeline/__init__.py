"""READ THIS FIRST: the whole pipeline, in the order it runs.

    Topic → ImageRecord → Query → Response → Match → Judgment → PreferencePair → checkpoint → Score → report
         collect       ask     respond    match   judge      pair            align       evaluate

    build       pictures → preference pairs: every stage of the dataset     (rooms: dataset, judging, models)
    align       preference pairs → checkpoint: DPO, reward model, PPO       (room: align)
    validation  safety, over-refusal and skill while a model trains         (rooms: align, evaluate)
    evaluate    checkpoint → scores, base and aligned on the same items     (room: evaluate)
    agreement   labels of a review → people with judges and each other      (room: labels)
    calibrate   labels of answers → errors of guards, corrected rates       (rooms: labels, statistics)
    report      run folder → one HTML page                                  (room: report)
    runner      who makes the tables of a stage: this process, or (ray_runner, ray_cluster, actor, counter) a cluster
    demo        all of it, in the miniature world                           (room: miniworld)
    miniworld   the miniature world as candidates, benchmarks and scorer
    check       what would run, and how many model calls it makes
    show        one question of a run, or several models' answers to one question
    session     what they all need: settings, call store, open models, progress

Every stage is a plain function in its room. This room opens what the stages need and says their order; nothing here
decides anything about pictures, answers or weights.
"""
