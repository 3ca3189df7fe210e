"""Files of customers: only what is safe is kept, privately, and nobody else ever gets it."""

from __future__ import annotations

import io
import json
import os
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core import signing
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image

from chatbot.conversations import exports, services
from chatbot.conversations.attachments import files
from chatbot.conversations.attachments.checks import shown_name
from chatbot.conversations.attachments.services import delete_unsent
from chatbot.conversations.handshake import SALT
from chatbot.conversations.models import Attachment, Conversation, Visitor
from chatbot.conversations.selectors import accepted_frame, snapshot
from chatbot.conversations.visitor_tokens import VisitorToken, write_token
from chatbot.exceptions import AttachmentGone, FileRefused
from chatbot.sites import pictures
from chatbot.sites.models import Site

pytestmark = pytest.mark.django_db

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
SECRET = b"<script>alert('payload')</script>"
GPS_IFD = 0x8825
FRAMES = Path(__file__).parent.parent / "frames"


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    # Buckets are kept by address too, and all tests have one.
    settings.RATE_UPLOADS_PER_MINUTE, settings.RATE_UPLOADS_BURST = 60_000.0, 1000
    return tmp_path


def picture(kind: str = "PNG", size: tuple[int, int] = (80, 40), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, kind, **options)
    return out.getvalue()


def located_photo() -> bytes:
    """A photo taken sideways, at a place."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    exif[0x010E] = "at home"
    exif.get_ifd(GPS_IFD).update({1: "N", 2: (53.0, 20.0, 0.0)})
    return picture("JPEG", exif=exif, comment=b"at home")


def browser(visitor_id: uuid.UUID, **options: Any) -> Client:
    client = Client(**options)
    client.cookies["frontdesk_visitor"] = signing.TimestampSigner(salt=SALT).sign(str(visitor_id))
    return client


def upload(client: Client, conversation: Conversation, data: bytes, name: str = "photo.png", **extra: Any) -> Any:
    body = {"conversation": str(conversation.id), "file": SimpleUploadedFile(name, data)}
    return client.post("/api/attachments", body, **extra)


@pytest.fixture
def client(conversation: Conversation) -> Client:
    return browser(conversation.visitor_id)


def uploaded(client: Client, conversation: Conversation, data: bytes | None = None, name: str = "photo.png") -> str:
    response = upload(client, conversation, data or picture(), name)
    assert response.status_code == 201, response.content
    return str(response.json()["id"])


def send(conversation: Conversation, *ids: str, text: str = "", client_id: str = "c-1") -> services.Accepted:
    return services.send_message(
        visitor_id=conversation.visitor_id,
        conversation_id=conversation.id,
        client_id=client_id,
        text=text,
        attachments=[uuid.UUID(each) for each in ids],
    )


def kept_files(media: Path) -> list[Path]:
    return [path for path in (media / "attachments").glob("*/*") if path.is_file()]


# --- What is taken ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_picture_is_kept_with_a_preview_under_names_that_say_nothing(
    client: Client, conversation: Conversation, media: Path, kind: str
) -> None:
    response = upload(client, conversation, picture(kind), f"../../etc/my {kind}.{kind.lower()}")
    assert response.status_code == 201
    told = response.json()
    assert (told["kind"], told["width"], told["height"]) == ("image", 80, 40)
    assert told["type"] == f"image/{kind.lower()}"
    assert told["name"].startswith(f"my {kind}.")
    stored = Attachment.objects.get().stored
    assert sorted(path.name for path in kept_files(media)) == [stored, stored + files.PREVIEW]
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept_files(media))


def test_the_place_where_a_photo_was_taken_is_gone_and_it_stands_upright(
    client: Client, conversation: Conversation
) -> None:
    given = located_photo()
    assert Image.open(io.BytesIO(given)).getexif().get_ifd(GPS_IFD), "the test's own photo has a place"
    uploaded(client, conversation, given, "IMG_1.JPG")
    for kept in (files.read(Attachment.objects.get().stored), files.read_preview(Attachment.objects.get().stored)):
        with Image.open(io.BytesIO(kept)) as image:
            assert image.size == (40, 80)
            assert not image.getexif()
            assert not {"comment", "exif", "xmp", "icc_profile"} & set(image.info)
        assert b"at home" not in kept


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_nothing_behind_a_pictures_end_is_kept(client: Client, conversation: Conversation, kind: str) -> None:
    uploaded(client, conversation, picture(kind) + SECRET, "polyglot.html")
    attachment = Attachment.objects.get()
    assert SECRET not in files.read(attachment.stored)
    assert not attachment.name.endswith(".html")


def test_an_animation_goes_on_moving(client: Client, conversation: Conversation) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=[80, 90, 100])
    uploaded(client, conversation, out.getvalue(), "moving.gif")
    with Image.open(io.BytesIO(files.read(Attachment.objects.get().stored))) as kept:
        assert getattr(kept, "n_frames", 1) == 3
        assert kept.info["duration"] == 80


def test_the_ending_is_that_of_the_content(client: Client, conversation: Conversation) -> None:
    response = upload(client, conversation, picture("JPEG"), "invoice.pdf")
    assert (response.json()["kind"], response.json()["name"]) == ("image", "invoice.jpg")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("holiday.jpeg", "holiday.png"),
        ("C:\\Users\\ada\\scan.png", "scan.png"),
        ("", "file.png"),
        ("..", "file.png"),
        (".png", "png.png"),
        ("a\r\nSet-Cookie: x=1.png", "aSet-Cookie: x=1.png"),
        ("\u202egpj.exe", "gpj.png"),
        ("übung " + "x" * 300 + ".png", ("übung " + "x" * 300)[:116] + ".png"),
    ],
)
def test_a_name_is_shown_and_never_more_than_that(given: str, shown: str) -> None:
    assert shown_name(given, ".png") == shown


# --- What is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "unsupported"),
        (b"<!doctype html><script>alert(1)</script>", "unsupported"),
        (b"MZ" + b"\x00" * 200, "unsupported"),
        (SECRET + PDF, "unsupported"),
        (PDF[:-8], "damaged"),
        (picture("PNG", (400, 400))[:200], "damaged"),
        (picture("JPEG", (400, 400))[:700], "damaged"),
        (b"", "empty"),
    ],
)
def test_what_is_neither_picture_nor_pdf_is_refused(
    client: Client, conversation: Conversation, media: Path, data: bytes, reason: str
) -> None:
    response = upload(client, conversation, data, "photo.png")
    assert response.status_code == 422
    assert (response.json()["code"], response.json()["reason"]) == ("file", reason)
    assert not kept_files(media)
    assert not Attachment.objects.exists()


def test_a_bomb_is_refused_before_it_is_decoded(client: Client, conversation: Conversation) -> None:
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    assert len(out.getvalue()) < 200_000
    began = time.monotonic()
    response = upload(client, conversation, out.getvalue())
    assert (response.status_code, response.json()["reason"]) == (422, "too_many_pixels")
    assert time.monotonic() - began < 5


def test_an_animation_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.new("L", (8, 8), shade) for shade in range(0, 250, 10)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    monkeypatch.setattr(pictures, "MOST_FRAMES", 10)
    with pytest.raises(FileRefused) as refused:
        pictures.clean(io.BytesIO(out.getvalue()), longest=100)
    assert refused.value.reason == "too_many_pixels"


def test_a_large_file_is_told_how_large_it_may_be(client: Client, conversation: Conversation, settings: Any) -> None:
    settings.ATTACHMENT_MAX_MIB = 5
    response = upload(client, conversation, PDF + b"\x00" * (12 * 2**20) + b"%%EOF", "long.pdf")
    assert response.status_code == 422
    assert response.json()["detail"] == "This file is 12 MB; at most 5 MB."


def test_a_conversation_and_a_visitor_have_room_for_so_much(
    client: Client, conversation: Conversation, settings: Any
) -> None:
    settings.ATTACHMENTS_PER_CONVERSATION = 1
    first = uploaded(client, conversation)
    assert upload(client, conversation, picture()).json()["reason"] == "conversation_full"
    assert client.delete(f"/api/attachments/{first}").status_code == 204
    uploaded(client, conversation)
    settings.ATTACHMENTS_PER_CONVERSATION, settings.ATTACHMENT_QUOTA_MIB = 9, 1
    Attachment.objects.update(size=2**20)
    assert upload(client, conversation, picture()).json()["reason"] == "quota"


def test_uploads_come_no_faster_than_people_send_them(
    client: Client, conversation: Conversation, settings: Any
) -> None:
    settings.RATE_UPLOADS_PER_MINUTE, settings.RATE_UPLOADS_BURST = 1.0, 1
    uploaded(client, conversation)
    response = upload(client, conversation, picture())
    assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
    assert response.json()["retry_after"] > 0


def test_nothing_is_taken_where_files_are_turned_off(client: Client, conversation: Conversation, settings: Any) -> None:
    assert client.get("/api/chat").json()["attachments"] == {"max_mib": 10, "per_message": 5}
    settings.ATTACHMENTS = False
    assert client.get("/api/chat").json()["attachments"] is None
    assert upload(client, conversation, picture()).json()["reason"] == "off"


def test_a_site_turns_files_off_for_itself(conversation: Conversation) -> None:
    site = Site.objects.create(key="quiet", name="Quiet", attachments=False)
    token = write_token(VisitorToken(conversation.visitor_id, site.key))
    headers = {"Authorization": f"Bearer {token}"}
    assert upload(Client(), conversation, picture(), headers=headers).json()["reason"] == "off"
    Site.objects.update(attachments=True)
    assert upload(Client(), conversation, picture(), headers=headers).status_code == 201


# --- Who may ------------------------------------------------------------------------------------------


def test_another_sites_page_uploads_nothing(client: Client, conversation: Conversation) -> None:
    for origin in ("https://elsewhere.example", "null"):
        response = upload(client, conversation, picture(), headers={"Origin": origin})
        assert response.status_code == 403
    assert upload(client, conversation, picture(), headers={"Origin": "http://testserver"}).status_code == 201


def test_nobody_uploads_into_a_strangers_conversation(conversation: Conversation) -> None:
    assert upload(browser(uuid.uuid4()), conversation, picture()).status_code == 404
    assert upload(Client(), conversation, picture()).status_code == 401


def test_only_the_customer_and_staff_who_read_conversations_get_a_file(
    client: Client, conversation: Conversation
) -> None:
    attachment = uploaded(client, conversation)
    reader, other = (User.objects.create_user(name, password="x", is_staff=True) for name in ("reader", "other"))
    reader.user_permissions.add(Permission.objects.get(codename="answer_conversation"))
    staff, outsider = Client(), Client()
    staff.force_login(reader)
    outsider.force_login(other)
    addresses = [f"/api/attachments/{attachment}", f"/api/attachments/{attachment}/preview"]
    for address in addresses:
        assert client.get(address).status_code == 200
        # Not sent yet: it is the customer's alone.
        assert staff.get(address).status_code == 404
    send(conversation, attachment)
    for address in addresses:
        assert client.get(address).status_code == 200
        assert staff.get(address).status_code == 200
        for stranger in (browser(uuid.uuid4()), Client(), outsider):
            assert stranger.get(address).status_code == 404
    assert client.get(f"/api/attachments/{uuid.uuid4()}").status_code == 404


def test_a_file_is_only_ever_a_download(client: Client, conversation: Conversation) -> None:
    attachment = uploaded(client, conversation, PDF, 'in"voice\u202e.html')
    response = client.get(f"/api/attachments/{attachment}")
    assert response.content == PDF
    assert response["Content-Disposition"] == 'attachment; filename="in\\"voice.pdf"'
    assert response["Content-Type"] == "application/pdf"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "no-store" in response["Cache-Control"]
    assert client.get(f"/api/attachments/{attachment}/preview").status_code == 404


def test_a_preview_is_a_picture_that_we_have_made(client: Client, conversation: Conversation) -> None:
    attachment = uploaded(client, conversation, picture("PNG", (3000, 900)))
    response = client.get(f"/api/attachments/{attachment}/preview")
    assert response["Content-Type"] == "image/webp"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response["Content-Security-Policy"]
    with Image.open(io.BytesIO(response.content)) as image:
        assert (image.format, image.size) == ("WEBP", (640, 192))


def test_a_file_that_the_disk_has_lost_is_said_to_be_missing(client: Client, conversation: Conversation) -> None:
    attachment = uploaded(client, conversation)
    files.remove(Attachment.objects.get().stored)
    assert client.get(f"/api/attachments/{attachment}").status_code == 410


# --- Sending ------------------------------------------------------------------------------------------


def test_a_message_carries_its_files_in_order(client: Client, conversation: Conversation) -> None:
    first, second = uploaded(client, conversation), uploaded(client, conversation, PDF, "bill.pdf")
    accepted = send(conversation, second, first)
    told = accepted_frame(accepted.message, accepted.turn)["message"]
    assert told["text"] == ""
    assert [each["id"] for each in told["attachments"]] == [second, first]
    shown = snapshot(conversation)["messages"][0]
    assert shown == told
    assert accepted.turn is not None, "the bot owes an answer, if only that it can't read files"


def test_the_golden_frame_is_what_is_sent(client: Client, conversation: Conversation) -> None:
    ids = [uploaded(client, conversation), uploaded(client, conversation, PDF, "invoice.pdf")]
    accepted = send(conversation, *ids, client_id="c-2")
    frame = accepted_frame(accepted.message, accepted.turn)
    golden = json.loads((FRAMES / "server" / "message.accepted-files.json").read_text())
    assert {*frame["message"]} == {*golden["message"]}
    assert [{*each} for each in frame["message"]["attachments"]] == [
        {*each} for each in golden["message"]["attachments"]
    ]


def test_sending_again_is_the_same_message(client: Client, conversation: Conversation) -> None:
    attachment = uploaded(client, conversation)
    assert send(conversation, attachment).message == send(conversation, attachment).message


def test_a_file_that_cannot_be_sent_stops_the_message_and_loses_nothing(
    client: Client, conversation: Conversation, settings: Any
) -> None:
    stranger = services.start_conversation(visitor_id=uuid.uuid4())
    foreign = uploaded(browser(stranger.visitor_id), stranger)
    used, fresh = uploaded(client, conversation), uploaded(client, conversation)
    send(conversation, used)
    for ids in ([foreign], [used, fresh], [str(uuid.uuid4())], [fresh, fresh]):
        with pytest.raises(AttachmentGone):
            send(conversation, *ids, text="look", client_id="c-2")
    conversation.refresh_from_db()
    assert conversation.last_seq == 1
    settings.ATTACHMENTS_PER_MESSAGE = 1
    with pytest.raises(AttachmentGone, match="1 files at most"):
        send(conversation, fresh, uploaded(client, conversation), client_id="c-2")
    assert send(conversation, fresh, text="look", client_id="c-2").message.seq == 2


def test_what_was_sent_cannot_be_taken_back(client: Client, conversation: Conversation) -> None:
    attachment = uploaded(client, conversation)
    assert browser(uuid.uuid4()).delete(f"/api/attachments/{attachment}").status_code == 404
    send(conversation, attachment)
    assert client.delete(f"/api/attachments/{attachment}").status_code == 409


# --- Its end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("erased", [Conversation, Visitor])
def test_files_go_with_the_rows_that_own_them(
    client: Client, conversation: Conversation, media: Path, erased: Any, django_capture_on_commit_callbacks: Any
) -> None:
    send(conversation, uploaded(client, conversation))
    uploaded(client, conversation)
    assert len(kept_files(media)) == 4
    with django_capture_on_commit_callbacks(execute=True):
        erased.objects.all().delete()
        assert len(kept_files(media)) == 4, "a rollback may still bring the rows back"
    assert not kept_files(media)


def test_unsent_uploads_and_files_without_rows_are_swept(
    client: Client, conversation: Conversation, media: Path, django_capture_on_commit_callbacks: Any
) -> None:
    sent, _unsent, fresh = (uploaded(client, conversation) for _ in range(3))
    send(conversation, sent)
    Attachment.objects.exclude(pk=fresh).update(created_at=timezone.now() - timedelta(days=2))
    lost, young = files.keep(b"lost"), files.keep(b"young")
    for path in kept_files(media):
        if young not in path.name:
            os.utime(path, (0, 0))
    with django_capture_on_commit_callbacks(execute=True):
        delete_unsent()
    assert {str(pk) for pk in Attachment.objects.values_list("pk", flat=True)} == {sent, fresh}
    kept = {path.name[:32] for path in kept_files(media)}
    assert kept == {*Attachment.objects.values_list("stored", flat=True), young}
    assert lost not in kept


def test_exports_name_files_and_no_more(client: Client, conversation: Conversation) -> None:
    send(conversation, uploaded(client, conversation, name="=cmd.png"), text="look")
    document = "".join(exports.jsonl_chunks([conversation.id]))
    assert '"attachments":["=cmd.png"]' in document
    assert Attachment.objects.get().stored not in document
    assert '"\'=cmd.png"' in "".join(exports.csv_chunks([conversation.id]))
