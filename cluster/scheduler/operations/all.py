"""All operations of one scheduler."""

from typing import NamedTuple

from cluster.scheduler.admission import Admission
from cluster.scheduler.driver import Driver
from cluster.scheduler.expulsion import Expelling
from cluster.scheduler.leading import ALONE, Leadership
from cluster.scheduler.notices.targets import NoticeTargets
from cluster.scheduler.operations.again import AgainOperations
from cluster.scheduler.operations.contents import ContentOperations
from cluster.scheduler.operations.events import EventOperations
from cluster.scheduler.operations.families import FamilyOperations
from cluster.scheduler.operations.history import HistoryOperations
from cluster.scheduler.operations.jobs import JobOperations
from cluster.scheduler.operations.keeping import KeepingOperations
from cluster.scheduler.operations.metrics import MetricsOperations
from cluster.scheduler.operations.ordering import OrderOperations
from cluster.scheduler.operations.output import OutputOperations
from cluster.scheduler.operations.pools import PoolOperations
from cluster.scheduler.operations.queue import QueueOperations
from cluster.scheduler.operations.results import ResultOperations
from cluster.scheduler.operations.tokens import NewToken, TokenOperations
from cluster.scheduler.operations.users import UserOperations
from cluster.scheduler.operations.workers import WorkerOperations
from cluster.scheduler.output.files import OutputFiles
from cluster.scheduler.output.locating import Sources
from cluster.store.contents.interface import Contents


class Operations(NamedTuple):
    jobs: JobOperations
    output: OutputOperations
    workers: WorkerOperations
    tokens: TokenOperations
    users: UserOperations
    order: OrderOperations
    queue: QueueOperations
    families: FamilyOperations
    events: EventOperations
    again: AgainOperations
    metrics: MetricsOperations
    contents: ContentOperations
    history: HistoryOperations
    results: ResultOperations
    keeping: KeepingOperations
    pools: PoolOperations


def operations(
    driver: Driver,
    admission: Admission,
    expelling: Expelling,
    new_token: NewToken,
    sources: Sources,
    files: OutputFiles,
    targets: NoticeTargets,
    contents: Contents,
    keeping: KeepingOperations,
    quota: int | None = None,
    leading: Leadership = ALONE,
) -> Operations:
    """`quota`: bytes of files that the jobs of one user may have."""
    kept = ContentOperations(driver, contents, quota)
    jobs = JobOperations(driver, sources.last_bytes, targets, kept)
    return Operations(
        jobs,
        OutputOperations(driver, sources, files),
        WorkerOperations(driver, expelling),
        TokenOperations(driver, admission, expelling, new_token),
        UserOperations(driver, expelling, leading),
        OrderOperations(driver),
        QueueOperations(driver),
        FamilyOperations(driver),
        EventOperations(driver),
        AgainOperations(driver, jobs, keeping.letting_go),
        MetricsOperations(driver),
        kept,
        HistoryOperations(driver),
        ResultOperations(driver, contents, sources.line_of),
        keeping,
        PoolOperations(driver, leading),
    )
