"""Who leads, in lives of schedulers whose machines, networks and clocks are not well: never two at once, and never
nobody for long."""

from collections.abc import Callable

import pytest

from cluster.domain.scheduler import leadership
from cluster.domain.scheduler.leadership import Contender, Lead, LeadWish, Roster, Sign, Tenure
from tests.sim.leading_world import MOST, SharedStore, Wrong, play, takeover

Patch = pytest.MonkeyPatch
Bug = Callable[[Patch], None]


@pytest.mark.parametrize("first", range(0, 100, 50))
def test_lives_of_schedulers(first: int) -> None:
    _play_all(range(first, first + 50))


@pytest.mark.extra_redis
@pytest.mark.parametrize("first", range(0, 5000, 500))
def test_five_thousand_lives(first: int) -> None:
    _play_all(range(first, first + 500))


def test_a_takeover_takes_the_lease_and_a_moment() -> None:
    assert max(takeover(seed) for seed in range(50)) <= MOST


def the_lease_counts_from_the_answer(patch: Patch) -> None:
    answered = Contender.answered

    def late(self: Contender, wish: LeadWish, sent: float, now: float, lead: Lead, *, done: bool) -> None:
        answered(self, wish, now, now, lead, done=done)

    patch.setattr(Contender, "answered", late)


def a_leader_is_sure_for_too_long(patch: Patch) -> None:
    patch.setattr(leadership, "SURE", 1.2)


def it_is_taken_whatever_was_said_meanwhile(patch: Patch) -> None:
    ask = SharedStore.ask

    def always(self: SharedStore, wish: LeadWish, node: Contender, seen: Lead, address: str) -> tuple[Lead, bool]:
        return ask(self, LeadWish.SEIZE if wish is LeadWish.TAKE else wish, node, seen, address)

    patch.setattr(SharedStore, "ask", always)


def it_is_taken_too_early(patch: Patch) -> None:
    def early(self: Contender, now: float) -> bool:
        return self._since is not None and (not self.seen.holder or now - self._since >= 0.5 * self.seen.lease)

    patch.setattr(Contender, "_may_take", early)


def the_clock_stands_still_while_it_sleeps(patch: Patch) -> None:
    patch.setattr(Contender, "leads", lambda self, _: bool(self.term) and not self.is_over)


def who_has_lost_keeps_on(patch: Patch) -> None:
    answered = Contender.answered

    def deaf(self: Contender, wish: LeadWish, sent: float, now: float, lead: Lead, *, done: bool) -> None:
        answered(self, wish, sent, now, lead, done=done or wish is LeadWish.KEEP)

    patch.setattr(Contender, "answered", deaf)


def the_term_alone_counts(patch: Patch) -> None:
    claim = SharedStore.claim

    def by_term(self: SharedStore, tenure: Tenure) -> int:
        return claim(self, Tenure(self.lead.term, self.lead.holder)) if tenure.term == self.lead.term else 0

    patch.setattr(SharedStore, "claim", by_term)


def the_epoch_alone_counts(patch: Patch) -> None:
    patch.setattr(SharedStore, "commit", lambda self, epoch, _: epoch == self.epoch)


BUGS: dict[Bug, int] = {  # and of how many lives one must show it
    the_lease_counts_from_the_answer: 1000,
    a_leader_is_sure_for_too_long: 200,
    it_is_taken_whatever_was_said_meanwhile: 1000,
    it_is_taken_too_early: 200,
    the_clock_stands_still_while_it_sleeps: 100,
    who_has_lost_keeps_on: 200,
    the_term_alone_counts: 200,
    the_epoch_alone_counts: 200,
}


@pytest.mark.parametrize(
    "bug", [a_leader_is_sure_for_too_long, the_clock_stands_still_while_it_sleeps, the_epoch_alone_counts]
)
def test_a_planted_bug_is_found(bug: Bug, monkeypatch: Patch) -> None:
    bug(monkeypatch)
    with pytest.raises(Wrong):
        _play_all(range(BUGS[bug]))


@pytest.mark.extra_redis
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_each_planted_bug_is_found(bug: Bug, monkeypatch: Patch) -> None:
    bug(monkeypatch)
    with pytest.raises(Wrong):
        _play_all(range(BUGS[bug]))


def test_a_lead_whose_taking_was_not_answered_is_kept_first() -> None:
    node = Contender("a", 10.0)
    ours = Lead(4, 1, "a", 10.0)
    node.answered(LeadWish.LOOK, 0.0, 1.0, ours, done=False)
    assert (node.wish(1.0), node.leads(1.0)) == (LeadWish.KEEP, False)
    node.answered(LeadWish.KEEP, 2.0, 3.0, Lead(4, 2, "a", 10.0), done=True)
    assert (node.leads(9.5), node.leads(9.6)) == (True, False)


def test_a_clock_is_apart_only_where_it_could_not_have_said_that_between_two_looks() -> None:
    for clock, apart in ((1000.0, 0), (1001.0, 0), (1006.0, 0), (995.1, 0), (1007.0, 5.5), (900.0, -100.0), (1e9, 1e9)):
        sign = Sign.parse(str(Sign("a", 3, clock, "id")))
        assert sign == Sign("a", 3, clock, "id")
        assert sign.is_apart(1000.0, 1001.5) == pytest.approx(apart, rel=1e-3)
    for text in ("", "a:1", "a:b:c:d", "a:1:2:3:4"):
        assert Sign.parse(text) is None


def test_what_lasts_is_only_seized() -> None:
    node = Contender("a", 10.0)
    node.answered(LeadWish.LOOK, 0.0, 0.0, Lead(1, 1, "other"), done=False)
    assert node.wish(1e9) is LeadWish.LOOK
    node.answered(LeadWish.LOOK, 1e9, 1e9, Lead(1, 2, ""), done=False)
    assert node.wish(1e9) is LeadWish.TAKE


def test_the_list_of_schedulers_forgets_who_is_away_for_long() -> None:
    roster = Roster(10.0)
    roster.take_in({"a:1": "x", "b:1": "y"}, 0.0)
    roster.take_in({"a:1": "z", "b:1": "y"}, 40.0)
    assert roster.addresses == ("a:1", "b:1")
    assert (roster.silence("a:1", 41.0), roster.silence("b:1", 41.0)) == (0.0, 41.0)
    assert roster.forgotten(86_401.0) == ["b:1"]


def test_who_cannot_keep_the_lead_gives_up_only_where_another_may_have_it() -> None:
    node, alone, both, one_away = Contender("a", 10.0), Roster(10.0), Roster(10.0), Roster(10.0)
    node.answered(LeadWish.TAKE, 0.0, 1.0, Lead(4, 1, "a", 10.0, "a:1"), done=True)
    alone.take_in({"a:1": "x"}, 0.0)
    both.take_in({"a:1": "x", "b:1": "y"}, 0.0)
    one_away.take_in({"a:1": "w", "b:1": "y"}, -30.0)
    one_away.take_in({"a:1": "x", "b:1": "y"}, 0.0)
    last = 7.5 + 10.0  # seconds for which it is sure, and one lease more
    assert (node.gives_up(both, last), node.gives_up(both, last + 0.1)) == (False, True)
    assert not node.gives_up(alone, last + 0.1)
    assert not node.gives_up(one_away, last + 0.1)
    assert not Contender("a", 0.0, term=1).gives_up(both, last + 0.1), "nobody takes it by lease"


def _play_all(seeds: range) -> None:
    for seed in seeds:
        play(seed)
