"""Who may open a page."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import HttpResponseBase

View = Callable[..., HttpResponseBase]


def for_staff_who(permission: str) -> Callable[[View], View]:
    """Strangers are sent to the login; staff without the permission are refused."""
    return lambda view: staff_member_required(permission_required(permission, raise_exception=True)(view))
