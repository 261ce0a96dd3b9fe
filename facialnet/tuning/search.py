"""The loop of a search: propose, run, record, until there are as many trials as asked for."""

from collections.abc import Callable, Sequence

from facialnet.errors import UserError
from facialnet.tuning.outcome import Outcome
from facialnet.tuning.study import Study, Trial, best_of

_HOPELESS = 3  # failed trials, where none ever ended well


def run_search(
    study: Study,
    *,
    n_trials: int,
    at_once: int,
    run: Callable[[Sequence[Trial]], Sequence[Outcome]],
    say: Callable[[str], None],
) -> list[Trial]:
    """Run trials until the study has ``n_trials``, and return them all.

    Trials that were running when an earlier start was killed go on first. A trial that fails is
    recorded and counts.

    Args:
        study: earlier trials, and what to try next.
        n_trials: over all starts together.
        at_once: trials side by side; the next ones are proposed when all of them have ended.
        run: runs trials and returns their outcomes.
        say: gets a line for each trial.

    Raises UserError where the first trials all fail, for then more of them tell nothing.
    """
    if n_trials < 1:
        raise UserError(f"hydra.sweeper.n_trials={n_trials} must be at least 1")
    running = [trial.number for trial in study.trials if trial.state == "running"]
    for number in running:
        study.complete(number)
    while True:
        batch, running = running[:at_once], running[at_once:]
        while len(batch) < at_once and len(study.trials) < n_trials:
            batch.append(study.propose())
        if not batch:
            break
        trials = [study.trials[number] for number in batch]
        for trial, outcome in zip(trials, run(trials), strict=True):
            study.tell(trial.number, outcome)
        _say_how_it_stands(study.trials, batch, n_trials, say)
        _check_hopeful(study.trials)
    return study.trials


def _say_how_it_stands(
    trials: Sequence[Trial], batch: Sequence[int], n_trials: int, say: Callable[[str], None]
) -> None:
    for trial in (trials[number] for number in batch):
        state = trial.state if trial.score is None else f"{trial.score:.4f}"
        say(f"{trial.name}: {state} with {' '.join(trial.overrides)}")
    ended = sum(trial.state != "running" for trial in trials)
    best = best_of(trials)
    so_far = f", best {best.name}: {best.score:.4f}" if best else ""
    say(f"{ended} of {n_trials} trials{so_far}")


def _check_hopeful(trials: Sequence[Trial]) -> None:
    failed = [trial for trial in trials if trial.state == "failed"]
    if len(failed) >= _HOPELESS and not any(t.state in ("done", "pruned") for t in trials):
        raise UserError(
            f"{len(failed)} trials and all of them failed, {failed[-1].name} with: "
            f"{failed[-1].error}; the same command goes on with the next trial"
        )


def summary(trials: Sequence[Trial]) -> list[str]:
    """Return lines that say how a search ended: counts, what failed and where, the best trial."""
    states = [trial.state for trial in trials]
    counts = [f"{states.count(state)} {state}" for state in ("done", "pruned", "failed")]
    lines = [f"{len(trials)} trials: {', '.join(counts)}"]
    lines += [f"{t.name} failed: {t.error}" for t in trials if t.state == "failed"]
    if best := best_of(trials):
        lines.append(f"best: {best.name}, {best.score:.4f}, with {' '.join(best.overrides)}")
    return lines
