"""READ THIS FIRST: the whole road, in the order it is walked.

    Topic → ImageRecord → Query → Response → Match → Judgment → PreferencePair → checkpoint → Score → report
         collect       ask     respond    match   judge      pair            align       evaluate

    build       pictures → pairs: every stage of the dataset, in order          (rooms: build, judging, models)
    align       pairs → checkpoint                                              (room: align)
    evaluate    checkpoint → scores, base and aligned on the same items         (room: evaluate)
    report      the run folder → one page                                       (room: report)
    demo        all of it, in the miniature world                               (room: miniworld)
    plan        what would run, and how many calls it makes
    look        one question, or one picture, up close
    workshop    what a road needs at hand: settings, store, models, the person who waits

Every stage is a plain function in its room. This room opens what they need and says the order; nothing here decides
anything about pictures, answers or weights.
"""
