"""Who is let in and who is expelled, as records and certificates come and go."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from cluster.domain.base.errors import Conflict, NotAuthenticated, NotFound
from cluster.domain.base.ids import AttemptKey
from cluster.domain.trust.enrolments import BY_HAND, Enrolment, EnrolmentForgotten, Maker, enrolment_of, serial_number
from cluster.domain.trust.expulsion import Record
from cluster.domain.trust.identity import Identity, IdentityKind, Peer, Role, Vouched
from cluster.domain.trust.members import Members
from cluster.domain.trust.tokens import TokenRecord
from cluster.domain.trust.users import UserRecord

CLUSTER = "0123456789abcdef"
W1 = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11"
W2 = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e12"


class Disk:
    """Members with all that they wanted kept, so that they can be made again from it."""

    def __init__(self) -> None:
        self.users: dict[str, UserRecord] = {}
        self.tokens: dict[str, TokenRecord] = {}
        self.enrolments: dict[tuple[IdentityKind, str, int], Enrolment] = {}
        self.members = Members()
        self.keep(self.members.begin(1))

    def keep(self, records: Sequence[Record]) -> None:
        for record in records:
            match record:
                case UserRecord():
                    self.users[record.name] = record
                case TokenRecord():
                    self.tokens[record.id] = record
                case Enrolment():
                    self.enrolments[record.kind, record.name, record.id] = record

    def restart(self) -> Members:
        self.members = Members(self.users.values(), self.tokens.values(), self.enrolments.values())
        return self.members

    def token(
        self, token_id: str, role: Role = Role.WORKER, user: str = "", uses: int | None = None, by: Peer | None = None
    ) -> None:
        maker = Maker(by.identity.kind, by.identity.name, by.enrolment) if by else Maker(IdentityKind.SCHEDULER, "main")
        made = TokenRecord(token_id, f"hash-{token_id}", role, user, 10, 1000, uses, maker=maker)
        self.keep(self.members.add(made))

    def join(self, token_id: str, enrolment: int, worker: str = W1, before: Peer | None = None) -> Peer:
        joined, records = self.members.admit(f"hash-{token_id}", "", before, worker, enrolment, 20)
        self.keep(records)
        return peer(joined.kind, joined.name, enrolment)


def peer(kind: IdentityKind, name: str, enrolment: int = BY_HAND) -> Peer:
    """Whoever shows a certificate of that enrolment."""
    serial = serial_number(enrolment, 12345)
    return Peer(Identity(CLUSTER, kind, name), serial, 0, 100, enrolment_of(serial))


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.mark.parametrize("enrolment", [1, 77, (1 << 63) - 1, BY_HAND])
@pytest.mark.parametrize("noise", [0, (1 << 120) - 1])
def test_a_serial_number_tells_the_enrolment_and_fits_a_certificate(enrolment: int, noise: int) -> None:
    serial = serial_number(enrolment, noise)
    assert enrolment_of(serial) == enrolment
    assert 0 < serial.bit_length() < 160


def test_serial_numbers_from_before_are_of_no_joining() -> None:
    assert enrolment_of(int("7" + "ab" * 19, 16)) == BY_HAND


def test_a_revoked_user_stays_out_whatever_certificate_it_shows_and_its_next_joining_is_let_in(disk: Disk) -> None:
    disk.token("t1", Role.USER, "ada")
    first, by_hand = disk.join("t1", 1), peer(IdentityKind.USER, "ada")
    assert not disk.members.is_expelled(first)
    assert not disk.members.is_expelled(by_hand)
    expelled = disk.members.revoke_user("ada", 30)
    assert ([user.name for user in expelled.users], expelled.workers) == (["ada"], ())
    disk.keep(expelled.records)
    for members in (disk.members, disk.restart()):
        assert members.is_expelled(first)
        assert members.is_expelled(by_hand)
    with pytest.raises(NotAuthenticated, match="t1 was revoked"):
        disk.join("t1", 2)  # it was good for more, and named her
    disk.token("t2", Role.VIEWER, "ada")  # another role than before
    second = disk.join("t2", 2)
    for members in (disk.members, disk.restart()):
        assert members.standing_of(second.identity) == (Role.VIEWER, "ada~2")
        assert [members.is_expelled(p) for p in (first, by_hand, second)] == [True, True, False]
    disk.keep(disk.members.revoke_user("ada", 40).records)
    assert disk.restart().is_expelled(second)


def test_jobs_call_as_long_as_their_owner_stays_whatever_was_revoked_of_the_name_before(disk: Disk) -> None:
    """After `user revoke admin` no job of admin could call its cluster, for ever; nor could those of the next ada."""
    vouched = Vouched(AttemptKey(1, 0, 1), W1, "", 1)
    of_admin, of_ada = (replace(peer(IdentityKind.USER, name), vouched=vouched) for name in ("admin", "ada"))
    disk.keep(disk.members.revoke_user("admin", 30, and_joined=False).records)
    assert disk.members.is_expelled(peer(IdentityKind.USER, "admin"))
    assert not disk.members.is_expelled(of_admin)
    disk.token("t1", Role.USER, "ada")
    disk.join("t1", 5)
    assert not disk.members.is_expelled(of_ada)
    disk.keep(disk.members.revoke_user("ada", 40, and_joined=False).records)
    assert disk.members.is_expelled(of_ada)
    disk.token("t2", Role.USER, "ada")
    disk.join("t2", 6)
    for members in (disk.members, disk.restart()):
        assert not members.is_expelled(of_ada), "whether it is a job of this ada, the gate asks"


def test_what_the_store_does_not_know_is_refused(disk: Disk) -> None:
    """A store that was brought back from a backup lets nobody in of whom it cannot tell whether they were expelled."""
    disk.token("t1", Role.USER, "ada")
    disk.join("t1", 1)
    assert disk.members.is_expelled(peer(IdentityKind.USER, "ada", 2))
    assert disk.members.is_expelled(peer(IdentityKind.WORKER, W1, 1))
    assert not disk.members.is_expelled(peer(IdentityKind.WORKER, W1))
    assert not disk.members.is_expelled(peer(IdentityKind.SCHEDULER, "main", 2))


def test_a_revoked_worker_stays_out_and_joins_as_another(disk: Disk) -> None:
    disk.token("t1")
    first = disk.join("t1", 1)
    assert disk.members.tokens_open_to(W1, 30) == ("t1",)
    assert disk.members.tokens_open_to(W1, 1000) == ()  # it has expired
    disk.keep(disk.members.revoke_worker(W1, 30).records)
    assert disk.restart().is_expelled(first)
    assert disk.members.is_expelled(peer(IdentityKind.WORKER, W1))
    again = disk.join("t1", 2, W2, before=first)
    assert again.identity.name == W2
    assert not disk.members.is_expelled(again)


def test_a_worker_that_joins_again_stays_who_it_was(disk: Disk) -> None:
    disk.token("t1")
    disk.token("t2")
    first = disk.join("t1", 1)
    second = disk.join("t2", 2, W2, before=first)
    assert second.identity == first.identity
    by_hand = disk.join("t2", 3, W2, before=peer(IdentityKind.WORKER, W1))
    assert by_hand.identity == first.identity
    user = disk.join("t2", 4, W2, before=peer(IdentityKind.USER, "admin"))
    assert user.identity.name == W2


def test_a_token_is_revoked_with_those_who_joined_by_it_and_nobody_else(disk: Disk) -> None:
    disk.token("t1")
    disk.token("t2")
    first, second = disk.join("t1", 1, W1), disk.join("t2", 2, W2)
    assert {(e.token, e.name) for e in disk.members.enrolments()} == {("t1", W1), ("t2", W2)}
    assert disk.members.revoke_token("t1", False, 30).workers == ()
    expelled = disk.members.revoke_token("t1", True, 31)
    assert (expelled.users, expelled.workers) == ((), (W1,))
    disk.keep(expelled.records)
    assert disk.tokens["t1"].revoked == 30
    for members in (disk.members, disk.restart()):
        assert [members.is_expelled(p) for p in (first, second)] == [True, False]
        assert {e.token for e in members.enrolments() if e.revoked is None} == {"t2"}
    assert disk.members.revoke_token("t1", True, 40).records  # once more: still there to be kept, for who waits for it


def test_a_user_who_joined_by_two_tokens_keeps_what_the_other_gave(disk: Disk) -> None:
    disk.token("t1", Role.USER, "ada")
    disk.token("t2", Role.USER, "ada")
    laptop, desk = disk.join("t1", 1), disk.join("t2", 2)
    expelled = disk.members.revoke_token("t1", True, 30)
    assert expelled.users == ()
    disk.keep(expelled.records)
    assert [disk.restart().is_expelled(p) for p in (laptop, desk)] == [True, False]
    expelled = disk.members.revoke_token("t2", True, 31)
    assert [user.name for user in expelled.users] == ["ada"]
    disk.keep(expelled.records)
    assert disk.restart().user("ada").revoked == 31


def test_the_first_user_can_be_given_another_certificate(disk: Disk) -> None:
    stolen = peer(IdentityKind.USER, "admin")
    disk.keep(disk.members.revoke_user("admin", 30).records)
    disk.keep(disk.members.enrol_admin(9, 30))
    members = disk.restart()
    assert members.standing_of(stolen.identity) == (Role.ADMIN, "admin")
    assert [members.is_expelled(p) for p in (stolen, peer(IdentityKind.USER, "admin", 9))] == [True, False]
    assert members.expelled_users() == [("admin", BY_HAND)]


def test_tokens_that_are_not_kept_are_not_listed_and_cost_nothing(disk: Disk) -> None:
    disk.members.add_ours(TokenRecord("ours", "hash-ours", Role.WORKER, "", 1, 1000, None))
    _, records = disk.members.admit("hash-ours", "worker", None, W1, 1, 20)
    assert records == [Enrolment(IdentityKind.WORKER, W1, 1, "", 20)]
    assert disk.members.tokens() == []


def test_joinings_of_expelled_workers_are_let_go_once_their_certificates_have_ended_and_refused_as_before(
    disk: Disk,
) -> None:
    disk.token("t1")
    disk.token("t2", Role.USER, "ada")
    workers = [disk.join("t1", 1), disk.join("t1", 2, W2), disk.join("t1", 3)]
    ada, by_hand = disk.join("t2", 4), peer(IdentityKind.WORKER, W1)
    disk.keep(disk.members.revoke_worker(W1, 30).records)
    disk.keep(disk.members.revoke_user("ada", 30).records)
    assert disk.restart().let_go(30) == []
    expelled = [disk.members.is_expelled(each) for each in (*workers, ada, by_hand)]
    assert expelled == [True, False, True, True, True]
    gone = [EnrolmentForgotten(IdentityKind.WORKER, W1, number) for number in (1, 3)]
    assert disk.members.let_go(31) == gone
    assert disk.members.let_go(31) == []
    for each in gone:
        del disk.enrolments[each.kind, each.name, each.id]
    for members in (disk.members, disk.restart()):
        assert [members.is_expelled(each) for each in (*workers, ada, by_hand)] == expelled
    again, _ = disk.members.admit("hash-t1", "worker", workers[0], "new id", 5, 40)
    assert again.name == "new id", "it does not come back as who it was"


def test_whom_nobody_knows_cannot_be_revoked(disk: Disk) -> None:
    with pytest.raises(NotFound, match="no user 'bob'"):
        disk.members.revoke_user("bob", 30)
    with pytest.raises(NotFound, match="no token 't9'"):
        disk.members.revoke_token("t9", True, 30)


def test_a_token_cannot_change_a_users_role(disk: Disk) -> None:
    disk.token("t1", Role.USER, "ada")
    disk.join("t1", 1)
    with pytest.raises(Conflict, match="has the role user, not admin"):
        disk.token("t2", Role.ADMIN, "ada")
    # made before somebody else became ada
    disk.keep([early := TokenRecord("t3", "hash-t3", Role.ADMIN, "ada", 5, 1000, 1)])
    members = disk.restart()
    with pytest.raises(Conflict):
        members.admit("hash-t3", "", None, W1, 2, 20)
    assert replace(early) in members.tokens()  # its use is not spent


def admin_with_tokens(disk: Disk) -> list[Peer]:
    """Eve, an admin, has made a token for a worker, and one for an admin who has made one for another worker."""
    disk.token("t1", Role.ADMIN, "eve")
    eve = disk.join("t1", 1)
    disk.token("t2", by=eve)
    disk.token("t3", Role.ADMIN, "mallory", by=eve)
    worker, mallory = disk.join("t2", 2, W1), disk.join("t3", 3)
    disk.token("t4", by=mallory)
    return [eve, worker, mallory, disk.join("t4", 4, W2)]


def test_an_expelled_admin_does_not_come_back_by_a_token_that_it_has_made(disk: Disk) -> None:
    everybody = admin_with_tokens(disk)
    expelled = disk.members.revoke_user("eve", 30)
    disk.keep(expelled.records)
    assert expelled.tokens == ("t2", "t3")
    assert [(e.kind, e.name, e.token) for e in expelled.left] == [
        (IdentityKind.WORKER, W1, "t2"),
        (IdentityKind.USER, "mallory", "t3"),
    ]
    for members in (disk.members, disk.restart()):
        assert [members.is_expelled(p) for p in everybody] == [True, False, False, False]
        for token in ("t2", "t3"):
            with pytest.raises(NotAuthenticated, match=f"{token} was revoked"):
                disk.join(token, 9)
        assert disk.join("t4", 5, W2, before=everybody[3])  # of somebody who was not expelled
    again = disk.members.revoke_user("eve", 40)
    assert (again.tokens, len(again.left)) == ((), 2)  # who has joined is told again


@pytest.mark.parametrize("way", ["user", "token"])
def test_with_those_who_joined_everything_that_came_of_an_admin_is_expelled(disk: Disk, way: str) -> None:
    disk.token("t9")
    other = disk.join("t9", 8, "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e13")
    everybody = admin_with_tokens(disk)
    if way == "user":
        disk.keep(disk.members.revoke_user("eve", 30).records)  # also if that was done before
        expelled = disk.members.revoke_user("eve", 31, and_joined=True)
    else:
        expelled = disk.members.revoke_token("t1", True, 31)
    disk.keep(expelled.records)
    assert [user.name for user in expelled.users] == ["eve", "mallory"]
    assert (expelled.workers, expelled.left) == ((W1, W2), ())
    for members in (disk.members, disk.restart()):
        assert [members.is_expelled(p) for p in everybody] == [True] * 4
        assert not members.is_expelled(other)
        assert [token.id for token in members.tokens() if token.is_good(50)] == ["t9"]


def test_a_user_who_has_joined_twice_is_named_with_what_it_keeps(disk: Disk) -> None:
    """It was in neither of the lists: not expelled, and not among those who stay."""
    disk.token("t1", Role.USER, "ada")
    disk.token("t2", Role.USER, "ada")
    refused, stays = disk.join("t1", 1), disk.join("t2", 2)
    expelled = disk.members.revoke_token("t1", True, 30)
    disk.keep(expelled.records)
    assert (expelled.users, [(e.name, e.token) for e in expelled.kept]) == ((), [("ada", "t2")])
    assert [disk.restart().is_expelled(p) for p in (refused, stays)] == [True, False]
    last = disk.members.revoke_token("t2", True, 31)
    assert ([user.name for user in last.users], last.kept) == (["ada"], ())


def test_a_user_keeps_nothing_that_it_gave_itself(disk: Disk) -> None:
    disk.token("t1", Role.ADMIN, "eve")
    disk.token("t2", Role.ADMIN, "eve", by=disk.join("t1", 1))
    disk.token("t3", Role.ADMIN, "admin", by=disk.join("t2", 2))
    as_admin = disk.join("t3", 3)
    expelled = disk.members.revoke_token("t1", True, 30)
    disk.keep(expelled.records)
    assert [user.name for user in expelled.users] == ["eve"]
    members = disk.restart()
    assert members.is_expelled(as_admin)
    assert not members.is_expelled(peer(IdentityKind.USER, "admin"))  # the one who has the machine


def test_tokens_of_whoever_has_the_name_now_or_had_it_before_are_told_apart(disk: Disk) -> None:
    admin_with_tokens(disk)
    disk.keep(disk.members.revoke_user("eve", 30).records)
    disk.token("t5", Role.ADMIN, "eve")
    joined, records = disk.members.admit("hash-t5", "", None, W1, 5, 40)
    disk.keep(records)
    second = peer(joined.kind, joined.name, 5)
    disk.token("t6", by=second)
    assert disk.members.standing_of(second.identity) == (Role.ADMIN, "eve~2")
    expelled = disk.restart().revoke_user("eve", 50, and_joined=True)
    assert (expelled.tokens, expelled.left, expelled.workers) == (("t6",), (), ())
    assert [user.id for user in expelled.users] == ["eve~2"]


def test_a_token_of_which_nobody_knows_who_made_it_ends_with_the_next_admin_who_is_expelled(disk: Disk) -> None:
    old = TokenRecord("t0", "hash-t0", Role.WORKER, "", 5, 1000, None)
    disk.keep(disk.members.add(old))
    disk.token("t1", Role.USER, "ada")
    disk.join("t1", 1)
    assert disk.members.revoke_user("ada", 30).tokens == ()  # who could make none
    assert disk.members.revoke_user("admin", 30).tokens == ("t0",)


@pytest.mark.parametrize(("role", "next_role"), [(Role.ADMIN, Role.USER), (Role.USER, Role.ADMIN)])
def test_who_had_the_name_before_may_have_made_such_a_token_in_its_own_role(
    disk: Disk, role: Role, next_role: Role
) -> None:
    """It was judged by the role of whoever has the name now."""
    disk.token("t1", role, "eve")
    disk.join("t1", 1)
    disk.keep(disk.members.revoke_user("eve", 30).records)
    disk.token("t2", next_role, "eve")
    disk.keep(disk.members.admit("hash-t2", "", None, W1, 2, 40)[1])
    disk.keep(disk.members.add(TokenRecord("t0", "hash-t0", Role.WORKER, "", 5, 1000, None)))
    expelled = disk.restart().revoke_token("t1", True, 50)
    assert expelled.tokens == (("t0",) if role is Role.ADMIN else ())


def test_what_an_expulsion_looks_at_does_not_grow_with_each_token(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An admin may have made thousands, and each may have let somebody in."""
    disk.token("t1", Role.ADMIN, "eve")
    eve = disk.join("t1", 1)
    for number in range(50):
        disk.token(f"e{number}", by=eve)
        disk.join(f"e{number}", 100 + number, f"6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b{number:04x}")
    looks = Counter[str]()
    for name in ("tokens", "enrolments"):
        monkeypatch.setattr(disk.members, name, _counted(name, getattr(disk.members, name), looks))
    expelled = disk.members.revoke_user("eve", 30, and_joined=True)
    assert (len(expelled.tokens), len(expelled.workers)) == (50, 50)
    assert 0 < looks.total() < 5


def _counted(name: str, real: Callable[[], object], looks: Counter[str]) -> Callable[[], object]:
    def look() -> object:
        looks[name] += 1
        return real()

    return look


# ── bearer tokens ──────────────────────────────────────────────────────────────────────────────────────────────────


def bearer_token(
    disk: Disk, token_id: str, enrolment: int, user: str = "ada", role: Role = Role.USER, by: Peer | None = None
) -> None:
    maker = Maker(by.identity.kind, by.identity.name, by.enrolment) if by else Maker(IdentityKind.USER, "admin")
    made = TokenRecord(token_id, f"hash-{token_id}", role, user, 10, 1000, None, None, maker, enrolment)
    disk.keep(disk.members.add(made))


def test_who_shows_a_bearer_token_acts_as_its_user_until_it_ends(disk: Disk) -> None:
    bearer_token(disk, "t1", 7)
    for members in (disk.members, disk.restart()):
        shown = members.bearer("hash-t1", CLUSTER, 20)
        assert (shown.identity, shown.enrolment, shown.token) == (Identity(CLUSTER, IdentityKind.USER, "ada"), 7, "t1")
        assert (shown.not_before, shown.not_after) == (10, 1000)
        assert not members.is_expelled(shown)
        assert members.standing_of(shown.identity) == (Role.USER, "ada")
    with pytest.raises(NotAuthenticated, match="bearer token t1 has expired"):
        disk.members.bearer("hash-t1", CLUSTER, 1000)
    with pytest.raises(NotAuthenticated, match="not known here"):
        disk.members.bearer("hash-t2", CLUSTER, 20)


def test_a_token_is_good_for_what_it_was_made_for_alone(disk: Disk) -> None:
    disk.token("t1", Role.USER, "ada")
    bearer_token(disk, "t2", 7)
    with pytest.raises(NotAuthenticated, match="not known here"):
        disk.members.bearer("hash-t1", CLUSTER, 20)
    with pytest.raises(NotAuthenticated, match="not known here"):
        disk.join("t2", 8)


def test_a_revoked_bearer_token_lets_nobody_in_and_its_user_stays(disk: Disk) -> None:
    bearer_token(disk, "t1", 7)
    shown = disk.members.bearer("hash-t1", CLUSTER, 20)
    expelled = disk.members.revoke_token("t1", and_joined=False, now=30)
    assert expelled.users == ()
    disk.keep(expelled.records)
    for members in (disk.members, disk.restart()):
        assert members.is_expelled(shown)  # calls under way are cut by that
        assert members.user("ada").revoked is None
        with pytest.raises(NotAuthenticated, match="bearer token t1 was revoked"):
            members.bearer("hash-t1", CLUSTER, 40)
    bearer_token(disk, "t2", 8)
    assert disk.members.standing_of(disk.members.bearer("hash-t2", CLUSTER, 40).identity) == (Role.USER, "ada")


def test_a_user_who_is_revoked_has_no_bearer_token_left(disk: Disk) -> None:
    bearer_token(disk, "t1", 7)
    shown = disk.members.bearer("hash-t1", CLUSTER, 20)
    disk.keep(disk.members.revoke_user("ada", 30).records)
    assert disk.restart().is_expelled(shown)
    with pytest.raises(NotAuthenticated, match="revoked"):
        disk.members.bearer("hash-t1", CLUSTER, 40)


def test_tokens_that_were_made_by_a_bearer_token_end_with_it(disk: Disk) -> None:
    bearer_token(disk, "t1", 7, "root", Role.ADMIN)
    by = disk.members.bearer("hash-t1", CLUSTER, 20)
    bearer_token(disk, "t2", 8, by=by)
    disk.token("t3", by=by)
    disk.keep(disk.members.revoke_token("t1", and_joined=False, now=30).records)
    with pytest.raises(NotAuthenticated, match="t2 was revoked"):
        disk.restart().bearer("hash-t2", CLUSTER, 40)
    with pytest.raises(NotAuthenticated, match="t3 was revoked"):
        disk.join("t3", 9)


def test_a_bearer_token_makes_nobody_somebody_else(disk: Disk) -> None:
    disk.token("t1", Role.USER, "ada")
    disk.join("t1", 1)
    with pytest.raises(Conflict, match="has the role user"):
        bearer_token(disk, "t2", 7, "ada", Role.ADMIN)


def test_a_gateway_joins_by_a_token_of_its_own_and_is_expelled_with_it(disk: Disk) -> None:
    disk.token("t1", Role.GATEWAY)
    gateway = disk.join("t1", 5)
    assert disk.members.standing_of(gateway.identity) == (Role.GATEWAY, "")
    assert not disk.members.is_expelled(gateway)
    assert disk.join("t1", 6, W2, before=gateway).identity == gateway.identity  # it stays who it was
    disk.keep(disk.members.revoke_token("t1", and_joined=True, now=30).records)
    assert disk.restart().is_expelled(gateway)
