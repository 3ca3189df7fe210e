"""The channel layer: channels-redis' pub/sub layer, for groups only.

Everything that reaches a chat socket is sent to its conversation's group. A socket's own channel therefore stays in its
process: a customer can connect while the broker is down, and connecting costs no round trip.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer, _wrap_close

# A socket that is this far behind is not reading. What it misses is made good from the stream and the database.
CAPACITY = 1000


class DroppingQueue(asyncio.Queue):
    """A bounded queue that drops what does not fit."""

    def put_nowait(self, item: Any) -> None:
        if not self.full():
            super().put_nowait(item)


class GroupLoopLayer(RedisPubSubLoopLayer):
    """The layer of one event loop."""

    async def _subscribe_to_channel(self, channel: str) -> None:
        self.channels[channel] = DroppingQueue(CAPACITY)

    async def drop_channel(self, channel: str) -> None:
        """Forget a socket's channel, and leave its groups. Never raises: the socket is gone already."""
        self.channels.pop(channel, None)
        for group_channel in [name for name, members in self.groups.items() if channel in members]:
            self.groups[group_channel].discard(channel)
            if not self.groups[group_channel]:
                del self.groups[group_channel]
                try:
                    await self._get_shard(group_channel).unsubscribe(group_channel)
                except Exception:  # the broker is gone, and with it the subscription
                    continue


class GroupChannelLayer(RedisPubSubChannelLayer):
    """What settings name as the channel layer's backend."""

    def _get_layer(self) -> GroupLoopLayer:
        loop = asyncio.get_running_loop()
        layer = self._layers.get(loop)
        if layer is None:
            layer = self._layers[loop] = GroupLoopLayer(*self._args, **self._kwargs, channel_layer=self)
            _wrap_close(self, loop)
        return layer

    def encoded(self, group: str, message: Mapping[str, Any]) -> tuple[str, bytes]:
        """The Redis channel and the bytes by which the group hears a message, for who publishes many in one go."""
        return f"{self._kwargs['prefix']}__group__{group}", self.serialize(message)
