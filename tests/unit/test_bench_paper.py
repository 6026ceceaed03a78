"""The rows of the paper's table: the gate counted in machine code, and an operation that runs."""

import pytest

from benchmarks import paper
from benchmarks.bench import Bench
from benchmarks.programs import BrokenError, MissingError

OPEN_CODE = """
<domain_key_open.cold>:
\tud2

<domain_key_open{kind}>:
\txor    %ecx,%ecx
\trdpkru
\twrpkru
\trdpkru
\tcmp    %eax,%esi
\tjne    <domain_key_open.cold>
\tret
\tnopl   (%rax)

<main>:
\tret
"""


@pytest.mark.parametrize("kind", ["", ".isra.0"])
def test_the_gate_is_counted_to_its_return(kind: str) -> None:
    """Not the trap, which may lie elsewhere, and not what fills the line up."""
    assert paper.straight_in(OPEN_CODE.format(kind=kind), "domain_key_open") == 7


def test_what_is_no_gate_is_not_counted() -> None:
    """Another processor has none; a second way through would make the figure wrong."""
    code = OPEN_CODE.format(kind="")
    with pytest.raises(MissingError, match="no keys"):
        paper.straight_in(code.replace("wrpkru", "nop"), "domain_key_open")
    with pytest.raises(BrokenError, match="several ways"):
        paper.straight_in(code.replace("xor ", "je "), "domain_key_open")
    with pytest.raises(BrokenError, match="no domain_key_close"):
        paper.straight_in(code, "domain_key_close")


def test_a_paper_row_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With values of 5 KB; where there are no keys, the gate's line says so and stays."""
    monkeypatch.setattr(paper, "STARTS", 1)
    large = next(each for each in paper.OPERATIONS if each.name == "paper-get-5k")
    lines = {line.peer: line for line in paper.paper(bench, large, "w")}
    assert set(lines) == {paper.OPEN, paper.MEMCACHED}
    gate = lines[paper.OPEN]
    assert gate.missing.startswith("no keys") or (gate.ratio and gate.ratio.count == 2)
    assert gate.paper == ("get 5 KB", "13 us", "0.67 us", "-")
    assert gate.without is not None
    assert gate.without.low > 0
