"""What a submission to a target would meet, found out before a byte leaves.

Questions go out at once where none needs another's answer, each with a limit of time, and none of them changes
anything. What cannot be proved is said to be unknown and not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shotput.cli.diagnosis import bundle as bundles
from shotput.cli.diagnosis import connection, fleets, queue
from shotput.cli.diagnosis.questions import Finding, Level, Questions, failed, unknown

__all__ = ["Finding", "Level", "examine"]


async def examine(
    target: dict[str, Any] | None,
    bundle: Path | None,
    values: Mapping[str, str],
    *,
    known: Sequence[Path] = (),
    timeout: float,
) -> list[Finding]:
    """Look at a target and, when one is given, at a bundle with the parameters ``values`` against it.

    ``target`` is the local farm's, or ``None`` for what the configuration says; ``known`` are folders whose files may
    be uploaded without a question. ``timeout`` is in seconds, for each of our questions. Raises nothing of ours.
    """
    questions = Questions(target, timeout)
    place, findings = connection.resolve(target)
    learned: queue.Queue | None = None
    found_fleets: list[fleets.Fleet] = []
    if place is not None:
        chosen = connection.configuration(place, target)
        answers, network = await connection.network(questions, place)
        findings += [chosen, *network]
        if not answers:
            why = "not asked: Deadline Cloud is not reached"
            findings += [unknown(check, why) for check in ("identity.login", "queue.status", "bucket.exists")]
        else:
            can_ask, identity = await connection.identity(questions, place)
            findings += identity
            if not can_ask:
                why = "not asked: there are no credentials to ask with"
                findings += [unknown(check, why) for check in ("queue.status", "bucket.exists")]
            elif chosen.level is Level.FAILED:
                findings += _choices(questions)
            else:
                learned = await queue.look_at(questions, place)
                of_bucket = await queue.bucket(questions, learned, place["region"])
                found_fleets, of_fleets = await fleets.look_at(questions, learned)
                findings += [*queue.rights(questions), *(learned.findings or ()), *of_bucket, *of_fleets]
    if bundle is not None:
        examined = await bundles.examine(bundle, values, known, target, learned)
        findings += [*examined.findings, *fleets.runnable(found_fleets, examined.steps)]
    return findings


def _choices(questions: Questions) -> list[Finding]:
    farms = connection.farms_to_choose(questions)
    return [failed("queue.farm", "no farm to look at", f"Those that you may use: {farms}.")] if farms else []
