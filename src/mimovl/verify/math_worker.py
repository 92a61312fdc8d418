"""The process in which Math-Verify runs; started by ``math_process`` as a script, never imported by it.

It reads one JSON object a line, ``{"gold": …, "answer": …}``, and answers one, ``{"read": true, "equal": true}``. A
separate process, because symbolic simplification of a model's text can take any time and memory: the parent kills it
by the clock, and the limits below stop it from growing or writing. It must not import mimovl, slow to start.
"""

from __future__ import annotations

import json
import logging
import sys

MAX_MEMORY_BYTES = 2 << 30


def limit_resources() -> None:
    """Bound memory and forbid writing files, where the system can."""
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    for kind, limit in ((resource.RLIMIT_AS, MAX_MEMORY_BYTES), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        try:
            resource.setrlimit(kind, (limit, limit))
        except (OSError, ValueError):
            continue


def main() -> None:
    """Answer requests until standard input ends."""
    limit_resources()
    logging.disable(logging.CRITICAL)
    replies, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is not a reply
    from math_verify import LatexExtractionConfig, parse, verify

    # LaTeX only: the plain-expression parser of the library evaluates Python through sympy.
    config = [LatexExtractionConfig(boxed_match_priority=0)]

    def boxed(text: str) -> str:
        return "\\boxed{" + text + "}"

    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            gold, answer = (
                parse(boxed(text), extraction_config=config, fallback_mode="no_fallback", parsing_timeout=None)
                for text in (request["gold"], request["answer"])
            )
            read = bool(gold) and bool(answer)
            reply: dict[str, object] = {
                "read": read,
                "equal": read and bool(verify(gold, answer, strict=True, timeout_seconds=None)),
            }
        except Exception as error:  # the text is a stranger's: any failure of the library is "not graded"
            reply = {"read": False, "equal": False, "error": type(error).__name__}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
