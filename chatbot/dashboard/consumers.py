"""The socket of a page that follows a training run: what the row says, whenever it has changed."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import asdict
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import AbstractUser
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from chatbot.conversations.consumers import in_database
from chatbot.dashboard.progress import progress_of
from chatbot.training.announcements import run_group
from chatbot.training.models import TrainingRun
from chatbot.training.selectors import curve_of

logger = logging.getLogger(__name__)

MAY_READ = "training.view_trainingrun"
REFUSED = 4403
# Announcements say when to look. One may be lost, and a run that waits for a worker makes none.
LOOK_AGAIN_S = 5.0


class RunConsumer(AsyncWebsocketConsumer):
    """Follows one run for a member of staff, until it has ended."""

    looking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Also where the socket died under something that was being sent, of which `disconnect` is never told.
            if self.looking is not None:
                self.looking.cancel()
            await self.channel_layer.drop_channel(self.channel_name)

    async def connect(self) -> None:
        self.run_id = int(self.scope["url_route"]["kwargs"]["pk"])
        self.attempt, self.step = 0, -1
        self.changed = asyncio.Event()
        await self.accept()
        if not await in_database(_may_read)(self.scope["user"]):
            await self.close(REFUSED)
            return
        try:
            await self.channel_layer.group_add(run_group(self.run_id), self.channel_name)
        except (RedisError, OSError) as error:
            logger.warning("a page follows a run without announcements: the broker does not answer (%s)", error)
        self.looking = asyncio.create_task(self._look())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """The page has nothing to say."""

    async def run_changed(self, message: dict[str, Any]) -> None:
        """The run has said something of itself, or was cancelled."""
        self.changed.set()

    async def _look(self) -> None:
        is_open = True
        while is_open:
            self.changed.clear()
            try:
                seen = await in_database(_see)(self.run_id, self.attempt, self.step)
            except TrainingRun.DoesNotExist:
                await self.close(REFUSED)
                return
            except DatabaseError as error:
                logger.error("the database does not answer: %s", error)
            else:
                self.attempt, is_open = seen["attempt"], seen["is_open"]
                self.step = max((point["step"] for point in seen["points"]), default=self.step)
                await self.send(text_data=json.dumps(seen))
            try:
                await asyncio.wait_for(self.changed.wait(), LOOK_AGAIN_S)
            except TimeoutError:
                continue


def _may_read(user: AbstractUser) -> bool:
    return user.is_active and user.is_staff and user.has_perm(MAY_READ)


def _see(run_id: int, attempt: int, step: int) -> dict[str, Any]:
    """The run now, with the points of its curve that a page lacks which has seen `step` of this `attempt`."""
    run = TrainingRun.objects.get(pk=run_id)
    continues = run.attempt == attempt
    return {
        **asdict(progress_of(run)),
        "attempt": run.attempt,
        "log": run.log.splitlines(),
        "points": [asdict(point) for point in curve_of(run, after_step=step if continues else -1)],
    }
