"""Training runs: whatever workers, brokers and operators do, each one ends once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DataError, OperationalError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from chatbot.exceptions import ClassifierError, Conflict, RunStopped
from chatbot.training import execution, run_lease, runs
from chatbot.training.curves import Point
from chatbot.training.execution import execute
from chatbot.training.machine import machine_slot
from chatbot.training.models import CurvePoint, TrainingRun
from chatbot.training.run_lease import RunLease
from chatbot.training.runs import cancel_run, claim_run, request_run, sweep_runs
from chatbot.training.tasks import execute_run
from tests.training.nudges import Broker

# Heartbeats are written by a thread with a connection of its own, which sees only what is committed.
pytestmark = pytest.mark.django_db(transaction=True)

KIND = TrainingRun.Kind.CROSS_VALIDATION
PARAMETERS = {"preset": "fast", "folds": 5, "seed": 0}
Status = TrainingRun.Status


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr(runs, "current_app", broker)
    return broker


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., dict[str, Any]]], None]:
    """Puts something else in the place of a cross-validation."""

    def put(what: Callable[..., dict[str, Any]]) -> None:
        monkeypatch.setitem(execution.WORK, KIND, what)

    return put


def asked() -> TrainingRun:
    return request_run(kind=KIND, parameters=PARAMETERS, requested_by=None)


def claimed() -> TrainingRun:
    run = claim_run(run_id=asked().pk)
    assert run is not None
    return run


def lose_worker(run: TrainingRun) -> None:
    """As the clock does to a worker that has stopped renewing."""
    TrainingRun.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


# --- Asking ---------------------------------------------------------------------------------------


def test_asking_stores_the_run_and_tells_a_worker(broker: Broker, django_user_model: type[User]) -> None:
    operator = django_user_model.objects.create(username="robin")
    run = request_run(kind=KIND, parameters=PARAMETERS, requested_by=operator)
    assert (run.status, run.parameters, run.requested_by) == (Status.QUEUED, PARAMETERS, operator)
    assert broker.told == [run.pk]


def test_one_of_a_kind_is_open_at_a_time(broker: Broker) -> None:
    run = claimed()
    with pytest.raises(Conflict):
        asked()
    assert broker.told == [run.pk]
    TrainingRun.objects.filter(pk=run.pk).update(status=Status.DONE)
    assert asked().pk != run.pk


def test_nobody_is_told_of_a_run_before_it_is_committed(broker: Broker) -> None:
    with transaction.atomic():
        run = asked()
        assert broker.told == []
    assert broker.told == [run.pk]


# --- Claiming and ending --------------------------------------------------------------------------


def test_of_two_workers_one_claims() -> None:
    run = asked()
    first = claim_run(run_id=run.pk)
    assert first is not None
    assert (first.status, first.attempt) == (Status.RUNNING, 1)
    assert claim_run(run_id=run.pk) is None


def test_done_keeps_what_was_found(work: Any) -> None:
    def find(run: TrainingRun, lease: RunLease) -> dict[str, Any]:
        lease.progress("Looking", 0.5)
        return {"dataset_digest": "d" * 64, "result": {"folds": run.parameters["folds"]}}

    work(find)
    run = asked()
    execute_run(run.pk)
    run.refresh_from_db()
    assert (run.status, run.share, run.message, run.error) == (Status.DONE, 1.0, "", "")
    assert run.result == {"folds": 5}
    assert run.dataset_digest == "d" * 64
    assert run.started_at is not None
    assert run.finished_at is not None
    assert run.lease_expires_at is None


def test_running_the_task_twice_changes_nothing(work: Any) -> None:
    claims = count()
    work(lambda *_: {"result": {"claim": next(claims)}})
    run = asked()
    execute_run(run.pk)
    execute_run(run.pk)
    assert TrainingRun.objects.get(pk=run.pk).result == {"claim": 0}
    assert next(claims) == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ClassifierError("Nothing can be held out."), "Nothing can be held out."),
        (MemoryError(), execution.OUT_OF_MEMORY),
        (ZeroDivisionError("secret words of a customer"), execution.UNFORESEEN),
    ],
)
def test_what_goes_wrong_is_a_sentence(work: Any, error: Exception, told: str) -> None:
    def fail(*_: Any) -> dict[str, Any]:
        raise error

    work(fail)
    run = asked()
    execute(run_id=run.pk)
    run.refresh_from_db()
    assert (run.status, run.error) == (Status.FAILED, told)
    assert run.finished_at is not None
    assert asked().status == Status.QUEUED


def test_a_machine_does_one_run_at_a_time(work: Any) -> None:
    work(lambda *_: {"result": {}})
    run = asked()
    with machine_slot() as is_free:
        assert is_free
        execute(run_id=run.pk)
        run.refresh_from_db()
        assert run.status == Status.QUEUED
    execute(run_id=run.pk)
    run.refresh_from_db()
    assert run.status == Status.DONE


# --- Heartbeats -------------------------------------------------------------------------------------


class Heart:
    """Tells when a lease has beaten, so that a test waits for that and not for a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._beats = threading.Semaphore(0)
        beat = RunLease._beat

        def counted(lease: RunLease) -> None:
            beat(lease)
            self._beats.release()

        monkeypatch.setattr(RunLease, "_beat", counted)
        monkeypatch.setattr(run_lease, "HEARTBEAT_S", 0.01)

    def beats(self, times: int = 1) -> None:
        """Waits for the beats after what the test did last; one may have been under way meanwhile."""
        while self._beats.acquire(blocking=False):
            pass
        for _ in range(times + 1):
            assert self._beats.acquire(timeout=20)


def lease_thread(run: TrainingRun) -> threading.Thread:
    """The thread that keeps the run alive, while it does."""
    return next(thread for thread in threading.enumerate() if thread.name == f"training run {run.pk}")


@pytest.fixture
def heart(monkeypatch: pytest.MonkeyPatch) -> Heart:
    return Heart(monkeypatch)


def test_heartbeats_renew_the_lease_and_write_the_progress(heart: Heart) -> None:
    run = claimed()
    with RunLease(run) as lease:
        lease.progress("Fold 1 of 5", 0.2)
        lease.progress("Still fold 1", None)
        lose_worker(run)
        heart.beats()
        run.refresh_from_db()
        assert (run.message, run.share) == ("Still fold 1", 0.2)
        assert run.lease_expires_at is not None
        assert run.lease_expires_at > timezone.now()
    assert sweep_runs() == 0


def test_what_the_work_says_of_itself_is_kept(heart: Heart) -> None:
    run = claimed()
    CurvePoint.objects.create(run=run, step=8, loss=0.1)
    with RunLease(run) as lease:
        lease.progress("Tuning: epoch 1", 0.1)
        lease.progress("Tuning: epoch 2", 0.2)
        lease.note("adapter of\n4 MB")
        lease.record(Point(4, loss=1.5, learning_rate=1e-4))
        heart.beats()
        run.refresh_from_db()
        assert [line.partition(" ")[2] for line in run.log.splitlines()] == ["Tuning", "adapter of 4 MB"]
        assert [point.step for point in run.points.all()] == [4, 8]
        # An earlier attempt had got as far as step 8.
        lease.record(Point(8, loss=0.7, held_out_loss=0.9))
        lease.note("done")
        assert lease.end(Status.DONE)
    run.refresh_from_db()
    assert run.log.endswith("done")
    assert list(run.points.values_list("step", "loss", "held_out_loss")) == [(4, 1.5, None), (8, 0.7, 0.9)]


def test_the_log_keeps_its_last_lines() -> None:
    run = claimed()
    with RunLease(run) as lease:
        for number in range(run_lease.LOG_LINES + 5):
            lease.note(f"line {number}")
        lease.end(Status.DONE)
    run.refresh_from_db()
    lines = run.log.splitlines()
    assert len(lines) == run_lease.LOG_LINES
    assert lines[0].endswith(" line 5")


def test_points_wait_for_a_database_that_is_away(heart: Heart, monkeypatch: pytest.MonkeyPatch) -> None:
    run = claimed()
    write, refusals = QuerySet.bulk_create, iter(range(2))

    def refused(self: QuerySet[Any], *arguments: Any, **options: Any) -> Any:
        if next(refusals, None) is not None:
            raise OperationalError("the server closed the connection")
        return write(self, *arguments, **options)

    monkeypatch.setattr(QuerySet, "bulk_create", refused)
    with RunLease(run) as lease:
        lease.record(Point(1, loss=2.0))
        heart.beats(4)
        assert list(run.points.values_list("step", "loss")) == [(1, 2.0)]


def test_a_cancelled_run_ends_with_a_heartbeat_and_the_work_stops(heart: Heart, work: Any) -> None:
    reached: list[str] = []

    def work_on(_: TrainingRun, lease: RunLease) -> dict[str, Any]:
        lease.progress("Beginning", 0.1)
        heart.beats()
        keeping = lease_thread(run)
        cancel_run(run_id=run.pk)
        # The beat that learns of it is the last.
        keeping.join(timeout=20)
        reached.append(TrainingRun.objects.get(pk=run.pk).status)
        lease.progress("Going on", 0.5)
        reached.append("further")
        return {"result": {"never": "stored"}}

    work(work_on)
    run = asked()
    execute(run_id=run.pk)
    run.refresh_from_db()
    assert reached == [Status.CANCELLED]
    assert (run.status, run.result) == (Status.CANCELLED, {})


def test_a_worker_that_lost_its_lease_stops_and_writes_nothing(heart: Heart) -> None:
    run = claimed()
    with RunLease(run) as lease:
        lease.progress("Going on", 0.5)
        heart.beats()
        keeping = lease_thread(run)
        # As it is once the sweeper has requeued it and another worker has claimed it.
        TrainingRun.objects.filter(pk=run.pk).update(attempt=2, message="Starting")
        keeping.join(timeout=20)
        with pytest.raises(RunStopped):
            lease.progress("Going on", 0.6)
        assert not lease.end(Status.DONE, result={"of": "the first"})
    run.refresh_from_db()
    assert (run.status, run.attempt, run.result, run.message) == (Status.RUNNING, 2, {}, "Starting")


def test_a_worker_that_lost_its_lease_unawares_cannot_end_the_run() -> None:
    run = claimed()
    with RunLease(run) as lease:
        TrainingRun.objects.filter(pk=run.pk).update(attempt=2)
        assert not lease.end(Status.DONE, result={"of": "the first"})
    run.refresh_from_db()
    assert (run.status, run.result) == (Status.RUNNING, {})


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Iterator[int]]:
    """Has the database refuse the next writes of the heartbeat or of the work. Gives the refusals that are left."""
    update = QuerySet.update

    def make(times: int, error: Exception, *, of_heartbeat: bool) -> Iterator[int]:
        left = iter(range(times))

        def refused(self: QuerySet[Any], **values: Any) -> int:
            is_heartbeat = threading.current_thread() is not threading.main_thread()
            if is_heartbeat == of_heartbeat and next(left, None) is not None:
                raise error
            return update(self, **values)

        monkeypatch.setattr(QuerySet, "update", refused)
        return left

    return make


def test_a_heartbeat_that_finds_no_database_costs_no_run(heart: Heart, refuse: Any) -> None:
    run = claimed()
    left = refuse(3, OperationalError("the server closed the connection"), of_heartbeat=True)
    with RunLease(run) as lease:
        lease.progress("Going on", 0.7)
        heart.beats(4)
        lease.progress("And on", 0.8)
    assert next(left, None) is None
    run.refresh_from_db()
    assert (run.status, run.share) == (Status.RUNNING, 0.7)


def test_what_was_found_is_not_lost_to_a_database_that_is_away(heart: Heart, work: Any, refuse: Any) -> None:
    refusals = []

    def find(*_: Any) -> dict[str, Any]:
        refusals.append(refuse(3, OperationalError("terminating connection"), of_heartbeat=False))
        return {"result": {"found": "after an hour"}}

    work(find)
    run = asked()
    execute(run_id=run.pk)
    assert next(refusals[0], None) is None
    run.refresh_from_db()
    assert (run.status, run.attempt, run.result) == (Status.DONE, 1, {"found": "after an hour"})


def test_a_result_that_the_database_cannot_hold_is_a_failure(work: Any, refuse: Any) -> None:
    def find(*_: Any) -> dict[str, Any]:
        refuse(1, DataError("unsupported Unicode escape sequence"), of_heartbeat=False)
        return {"result": {}}

    work(find)
    run = asked()
    execute(run_id=run.pk)
    run.refresh_from_db()
    assert (run.status, run.error) == (Status.FAILED, execution.UNFORESEEN)


# --- Cancelling -------------------------------------------------------------------------------------


def test_a_waiting_run_is_cancelled_at_once() -> None:
    run = asked()
    cancel_run(run_id=run.pk)
    run.refresh_from_db()
    assert run.status == Status.CANCELLED
    assert run.finished_at is not None
    assert claim_run(run_id=run.pk) is None


def test_a_run_that_has_ended_is_not_cancelled() -> None:
    run = claimed()
    TrainingRun.objects.filter(pk=run.pk).update(status=Status.DONE)
    cancel_run(run_id=run.pk)
    run.refresh_from_db()
    assert (run.status, run.cancel_requested) == (Status.DONE, False)


# --- The sweeper ------------------------------------------------------------------------------------


def test_a_run_that_lost_its_worker_is_taken_up_by_another(broker: Broker) -> None:
    run = claimed()
    TrainingRun.objects.filter(pk=run.pk).update(share=0.8)
    assert sweep_runs() == 0
    lose_worker(run)
    assert sweep_runs() == 1
    run.refresh_from_db()
    assert (run.status, run.share, run.message) == (Status.QUEUED, None, runs.WAITS_AGAIN)
    assert broker.told == [run.pk, run.pk]
    second = claim_run(run_id=run.pk)
    assert second is not None
    assert second.attempt == 2


def test_a_run_that_keeps_losing_its_workers_fails() -> None:
    run = asked()
    for attempt in range(1, runs.MAX_ATTEMPTS + 1):
        taken = claim_run(run_id=run.pk)
        assert taken is not None
        assert taken.attempt == attempt
        lose_worker(run)
        sweep_runs()
    run.refresh_from_db()
    assert (run.status, run.error) == (Status.FAILED, runs.LOST)


def test_a_lost_run_that_was_to_be_cancelled_is_not_begun_anew() -> None:
    run = claimed()
    cancel_run(run_id=run.pk)
    run.refresh_from_db()
    assert run.status == Status.RUNNING
    lose_worker(run)
    assert sweep_runs() == 0
    run.refresh_from_db()
    assert run.status == Status.CANCELLED


def test_a_wish_to_cancel_that_met_a_requeue_is_heeded() -> None:
    run = asked()
    TrainingRun.objects.filter(pk=run.pk).update(cancel_requested=True)
    assert claim_run(run_id=run.pk) is None
    sweep_runs()
    run.refresh_from_db()
    assert run.status == Status.CANCELLED


def test_workers_are_told_again_of_what_waits_but_not_all_the_time(broker: Broker) -> None:
    broker.is_down = True
    run = asked()
    assert broker.told == []
    broker.is_down = False
    assert sweep_runs() == 0
    TrainingRun.objects.filter(pk=run.pk).update(nudged_at=timezone.now() - runs.NUDGE_AGAIN_AFTER)
    broker.is_down = True
    assert sweep_runs() == 0
    broker.is_down = False
    assert sweep_runs() == 1
    assert sweep_runs() == 0
    assert broker.told == [run.pk]


def test_the_command_sweeps_turns_and_runs(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    run = claimed()
    lose_worker(run)
    call_command("sweep", once=True)
    assert "training runs: 1 nudged" in capsys.readouterr().out
    assert broker.told == [run.pk, run.pk]
