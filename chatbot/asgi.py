"""The web process: Django's pages over HTTP, the chat and whatever else moves over websockets."""

from __future__ import annotations

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatbot.settings")
http_application = get_asgi_application()

# Imported once Django's apps are loaded, which get_asgi_application does.
from channels.auth import AuthMiddlewareStack  # noqa: E402

from chatbot.conversations.consumers import ChatConsumer  # noqa: E402
from chatbot.conversations.handshake import ExactOriginMiddleware, VisitorMiddleware  # noqa: E402
from chatbot.dashboard.consumers import RunConsumer  # noqa: E402
from chatbot.dashboard.inbox_consumer import InboxConsumer  # noqa: E402
from chatbot.operations.body_limit import BodyLimitMiddleware  # noqa: E402
from chatbot.operations.metrics import count_sockets  # noqa: E402

# django-stubs know `path` with views alone.
chat: Any = VisitorMiddleware(count_sockets(ChatConsumer.as_asgi()))
training: Any = AuthMiddlewareStack(RunConsumer.as_asgi())
inbox: Any = AuthMiddlewareStack(InboxConsumer.as_asgi())

application = ProtocolTypeRouter(
    {
        "http": BodyLimitMiddleware(http_application, settings.MAX_REQUEST_BYTES),
        "websocket": ExactOriginMiddleware(
            URLRouter([path("ws/chat/", chat), path("ws/inbox/", inbox), path("ws/training/<int:pk>/", training)])
        ),
    }
)
