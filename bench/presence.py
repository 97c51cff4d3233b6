"""What it costs that users are present in topics, inside of one process: no sockets, no gateway."""

from figures import result
from programs import run_json


def presence(ctx):
    """Users of two topics each, against the same texts in a plain hash table."""
    users = ctx.size(100000, 10000)
    runs = []
    for i in range(ctx.repeats):
        ctx.progress(f"presence: {i + 1} of {ctx.repeats}")
        runs.append(run_json(ctx, "rg-presence", "--users", users))

    def column(which, what, scale=1):
        return [run[which][what] / scale for run in runs]

    params = {"users": users, "topics_per_user": 2}
    yield result(ctx, "presence_memory", "bytes per user", column("unwatched", "bytes"),
                 column("reference", "bytes"), None, **params)
    for what in ("join", "leave"):
        yield result(ctx, f"presence_{what}_cpu", f"us of CPU per {what}",
                     column("unwatched", f"{what}_ns", 1000),
                     column("reference", f"{what}_ns", 1000), None, **params)
    for which, what in (("watched", "join"), ("watched", "leave"), ("own", "join")):
        report = runs[-1][which]
        yield result(ctx, f"presence_{which}_{what}_cpu", f"us of CPU per {what}",
                     column(which, f"{what}_ns", 1000), column("unwatched", f"{what}_ns", 1000),
                     None, **params, interval_ms=runs[-1]["interval_ms"],
                     diffs_of_joins=report["diffs"],
                     diff_bytes_per_join=round(report["diff_bytes"] / users),
                     reference="nobody watches")


FIGURES = {"presence": presence}
