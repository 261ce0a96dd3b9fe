"""Which pictures an audit would leave out, and why."""

from collections.abc import Sequence

import pandas as pd


def exclusion_list(
    suspects: pd.DataFrame, copies: pd.DataFrame, columns: Sequence[str], below: float
) -> pd.DataFrame:
    """Return ``path``, ``content`` and ``reason`` of the pictures to leave out, each once.

    Suspects are listed where cleanlab counts them as label errors and their quality is below the
    threshold. Of copies whose labels agree all but one are listed, of others all. A group whose
    labels are suspect loses its suspects first, so that what is kept is not one of them. Pictures
    without a content hash are never listed: nobody could tell whether their file changed.

    Args:
        suspects: ``path``, ``content``, ``task``, ``given``, ``likely``, ``quality``, ``issue``.
        copies: as duplicate_groups returns them.
        columns: labels whose disagreement makes a group useless, such as ``gender``.
        below: quality threshold, 0 to 1.
    """
    wrong = suspects[suspects["issue"].astype(bool) & (suspects["quality"] < below)]
    reasons = wrong["task"] + ": " + wrong["given"] + ", likely " + wrong["likely"]
    listed = [wrong[["path", "content"]].assign(reason=reasons)]
    for number, group in copies.groupby("group"):
        conflicts = set(group["conflict"].iloc[0].split()) & set(columns)
        if conflicts:
            reason = f"copies disagree on {', '.join(sorted(conflicts))}, group {number}"
            listed.append(group[["path", "content"]].assign(reason=reason))
            continue
        left = group[~group["path"].isin(wrong["path"])]
        reason = f"{group['kind'].iloc[0]} copy, group {number}"
        listed.append(left[["path", "content"]].iloc[1:].assign(reason=reason))
    table = pd.concat(listed, ignore_index=True).dropna(subset="content")
    joined = table.groupby("path", sort=False)
    return joined.agg({"content": "first", "reason": "; ".join}).reset_index()
