"""The processes in which Math-Verify runs; started by ``math_process`` as a script, never imported by it.

    supervisor   imports the library once, then forks
      └─ child   reads a question a line from standard input, writes a reply a line to standard output

A question is ``{"gold": …, "answer": …, "seconds": …}``, a reply ``{"read": true, "equal": true}``. Symbolic
simplification of a model's text can take any time and memory. Time: before each question the child arms the kernel's
timer of its own CPU seconds with no handler, so even a C loop that never returns to Python is ended; the supervisor
then writes ``{"lost": "timeout"}`` and forks another child in milliseconds; a new interpreter would take a second.
Memory: the child has a limit, and is replaced after so many questions, because the library's caches only grow.

``"rule"`` is "pair", two expressions; "alone", a whole completion that the library reads by its defaults; or "suite",
the same with the settings of MiMo-VL's evaluation suite. This file must not import mimovl, slow to start.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from typing import Any

MAX_MEMORY_BYTES = 2 << 30
MAX_QUESTIONS = 400
DEFAULT_SECONDS = 1.5
RECYCLED = 3


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


def compare(request: dict[str, Any]) -> dict[str, object]:
    """One reply; any failure of the library is "not read"."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    # LaTeX only: the plain-expression parser of the library evaluates Python through sympy.
    latex = LatexExtractionConfig(boxed_match_priority=0)
    try:
        rule = request.get("rule", "pair")
        if rule == "alone":
            config = [LatexExtractionConfig(), ExprExtractionConfig()]
            gold = parse(boxed(request["gold"]), extraction_config=config, parsing_timeout=None)
            answer = parse(request["answer"], extraction_config=config, parsing_timeout=None)
        elif rule == "suite":
            text = request["gold"]
            if text.startswith("$") and text.endswith("$"):
                text = boxed(text.strip("$"))
            elif "\\boxed" not in text:
                text = boxed(text)
            gold, answer = (
                parse(one, extraction_mode="first_match", extraction_config=[suite_config()], parsing_timeout=None)
                for one in (text, request["answer"])
            )
        else:
            gold, answer = (
                parse(boxed(text), extraction_config=[latex], fallback_mode="no_fallback", parsing_timeout=None)
                for text in (request["gold"], request["answer"])
            )
        read = bool(gold) and bool(answer)
        return {"read": read, "equal": read and bool(verify(gold, answer, strict=True, timeout_seconds=None))}
    except Exception as error:  # the text is a stranger's: any failure of the library is "not graded"
        return {"read": False, "equal": False, "error": type(error).__name__}


def suite_config() -> Any:
    """How MiMo-VL's suite has the library read LaTeX: the last box, units dropped."""
    from latex2sympy2_extended.latex2sympy2 import NormalizationConfig
    from math_verify import LatexExtractionConfig

    normalisation = NormalizationConfig(
        basic_latex=True, units=True, malformed_operators=True, nits=True, boxed="last", equations=False
    )
    return LatexExtractionConfig(boxed_match_priority=0, normalization_config=normalisation)


def boxed(text: str) -> str:
    r"""The text in ``\boxed{}``."""
    return "\\boxed{" + text + "}"


def read_line() -> bytes:
    """One line of standard input without reading ahead: a later child must find the rest."""
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(0, 65536)  # the parent sends one question and waits
        if not chunk:
            return b""
        line += chunk
    return line


def answer_questions(replies: int) -> int:
    """Answer until standard input ends (0) or it is time for a fresh process (RECYCLED)."""
    limit_resources()
    for _ in range(MAX_QUESTIONS):
        line = read_line()
        if not line:
            return 0
        request = json.loads(line)
        arm(float(request.get("seconds", DEFAULT_SECONDS)))
        reply = compare(request)
        arm(0.0)
        os.write(replies, json.dumps(reply).encode() + b"\n")
    return RECYCLED


def arm(seconds: float) -> None:
    """End this process after so many CPU seconds from now, or never with 0."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def main() -> None:
    """Import the library, then keep one child answering."""
    logging.disable(logging.CRITICAL)
    replies = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is not a reply
    import math_verify  # noqa: F401

    compare({"gold": r"\frac{1}{2}", "answer": "0.5"})  # fill the caches that every child inherits
    os.write(replies, json.dumps({"ready": True}).encode() + b"\n")
    if not hasattr(os, "fork"):
        while answer_questions(replies) == RECYCLED:
            continue
        return
    while True:
        child = os.fork()
        if child == 0:
            os._exit(answer_questions(replies))
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return
        if os.WIFSIGNALED(status) or os.WEXITSTATUS(status) != RECYCLED:
            timed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF
            os.write(replies, json.dumps({"lost": "timeout" if timed else "crashed"}).encode() + b"\n")


if __name__ == "__main__":
    main()
