"""`make bench-cluster`: who is asked for what, what is compared with what, and the pages that come out."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.load import blocks, cluster, cluster_pages, comparing, contestants, formations
from benchmarks.load.cluster_cases import CASES, GOALS, NAMES, Case, chosen
from benchmarks.load.contestants import Access
from benchmarks.load.formations import ALONE, BEFORE, REDIS, UNIX, Formation
from benchmarks.load.measuring import Result
from benchmarks.load.model import Metrics

TOP = Path(__file__).parents[3]


def formation(*ports: int) -> Formation:
    """Two nodes, 11 and 12, and a bus, 13."""
    nodes = (11, 12)[: len(ports)]
    beside = (13,) if len(ports) > 1 else ()
    return Formation("any", Access(ports[0]), ports, [], lambda: ([], []), nodes, beside)


def case(name: str) -> Case:
    """The case of this name."""
    return chosen([name])[0]


def after(words: list[str], option: str) -> str:
    """The last value of an option, which is the one that counts."""
    return words[len(words) - 1 - words[::-1].index(option) + 1]


def results(figures: Mapping[str, Mapping[str, list[Metrics]]]) -> list[Result]:
    """Results of case -> formation -> metrics by repetition."""
    return [
        Result(case, who, turn, metrics)
        for case, of_case in figures.items()
        for who, turns in of_case.items()
        for turn, metrics in enumerate(turns)
    ]


@pytest.mark.parametrize(
    ("name", "ports", "expected"),
    [
        ("cpu-1-here", (1, 2), "1"),
        ("cpu-1-there", (1, 2), "2"),
        ("cpu-1-there", (1,), "1"),
        ("cpu-10", (1, 2), "1,2"),
        ("death-large", (1, 2), "1,2"),
    ],
)
def test_subscribers_go_where_the_case_says_and_the_backend_to_the_first_node(
    name: str, ports: tuple[int, ...], expected: str
) -> None:
    words = cluster.arguments_of(case(name), formation(*ports), quick=False)
    assert (after(words, "-P"), after(words, "-B")) == (expected, "1")


def test_cpu_is_that_of_all_nodes_and_the_bus_stands_beside_it() -> None:
    words = cluster.arguments_of(case("cpu-10"), formation(1, 2), quick=False)
    assert (after(words, "-p"), after(words, "-o")) == ("11,12", "13")
    assert "-o" not in cluster.arguments_of(case("cpu-10"), formation(1), quick=False)


def test_a_death_is_that_of_the_second_node_and_is_paid_for_by_the_first() -> None:
    words = cluster.arguments_of(case("death-spread"), formation(1, 2), quick=False)
    assert (after(words, "-V"), after(words, "-p")) == ("12", "11")


def test_only_who_is_not_alone_is_killed() -> None:
    single, team = formation(1), formation(1, 2)
    single.name, team.name = ALONE, UNIX
    fatal = case("death-large")
    assert [cluster.can_take(each, fatal) for each in (single, team)] == [False, True]


def test_what_is_added_is_the_median_of_differences_within_a_repetition() -> None:
    cpu: dict[str, list[Metrics]] = {
        ALONE: [{"cpu_us_event": 30.0}, {"cpu_us_event": 60.0}, {"cpu_us_event": 31.0}],
        UNIX: [
            {"cpu_us_event": 40.0, "beside_us_event": 5.0},
            {"cpu_us_event": 71.0, "beside_us_event": 6.0},
            {"cpu_us_event": 42.0, "beside_us_event": 5.0},
        ],
        REDIS: [{"cpu_us_event": 60.0, "beside_us_event": 9.0}],
    }
    found = comparing.figures(comparing.by_case(results({"cpu-10": cpu})), NAMES)
    assert found[f"{UNIX}/cpu/10"] == 16.0  # 15, 17 and 16, the bus counted
    assert found[f"{REDIS}/cpu/10"] == 30.0  # redis-server not counted


def test_a_join_is_compared_per_member_of_the_channel() -> None:
    small: dict[str, list[Metrics]] = {UNIX: [{"join_us": 180.0, "beside_join_us": 20.0}]}
    large: dict[str, list[Metrics]] = {UNIX: [{"join_us": 4_900.0, "beside_join_us": 100.0}]}
    measured = comparing.by_case(results({"join-10": small, "join-500": large}))
    assert comparing.figures(measured, NAMES)[f"{UNIX}/join"] == pytest.approx(10 / 20)


def test_a_result_with_a_fault_counts_for_nothing() -> None:
    faulty = [Result("cpu-10", UNIX, 0, {"cpu_us_event": 1.0}, faults=["lost: 1"])]
    assert comparing.by_case(faulty) == {}


def test_a_goal_that_was_missed_says_so() -> None:
    goal = GOALS[0]
    reached, missed = (
        cluster_pages.goals_table({goal.figure: goal.at_most + by}).splitlines()[2] for by in (0, 1)
    )
    assert (reached[-3], missed[-3]) == ("✓", "✗")
    assert cluster_pages.goals_table({}).splitlines()[2].endswith("| - | - |")


def test_every_goal_is_about_a_figure_that_the_cases_give() -> None:
    everything: dict[str, dict[str, list[Metrics]]] = {}
    for each in CASES:
        metrics = dict.fromkeys(each.columns, 2.0 if each.name.endswith("500") else 1.0)
        everything[each.name] = {name: [metrics] for name in (*NAMES, UNIX + BEFORE)}
    measured = comparing.by_case(results(everything))
    assert {goal.figure for goal in GOALS} <= comparing.figures(measured, NAMES).keys()
    page = cluster_pages.page(measured, [*NAMES, UNIX + BEFORE], {"date": "today"}, 3)
    assert all(each.title in page for each in CASES)
    assert "-" not in {row.split("|")[-2].strip() for row in _rows(page, "## Goals")}


def _rows(page: str, head: str) -> list[str]:
    section = page.split(f"{head}\n\n", 1)[1].split("\n\n", 1)[0]
    return section.splitlines()[2:]


def test_the_goals_in_the_docs_are_those_of_the_last_full_run() -> None:
    page = (TOP / "docs" / "performance" / "cluster.md").read_text()
    rows = _rows(page, "## Goals")
    assert len(rows) == len(GOALS)
    docs = (TOP / "docs" / "performance.md").read_text()
    table = page.split("## Goals\n\n", 1)[1].split("\n\n", 1)[0]
    assert blocks.replace(docs, "several processes", table) == docs


def test_workers_are_told_apart_by_what_they_run(tmp_path: Path) -> None:
    assert formations.role_of(2**22 + 1) == ""  # no such process
    config = contestants.write_config(tmp_path, Access(1), settings=["[cluster]", "lease = 3"])
    assert config.read_text().startswith("[cluster]\nlease = 3\n")


def test_an_unknown_case_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="no case nonsense; there are cpu-1-here"):
        chosen(["nonsense"])
