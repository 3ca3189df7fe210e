/**
 * Serves the built page with a scripted shop behind it, for looking at the page without Django and models.
 *
 *     npm run preview            then open http://127.0.0.1:8100
 *
 * What a message says decides what happens: "fail" fails, "person" queues for a person, "busy" is refused for a while,
 * "human" and "close" change the conversation, "drop" cuts the connection in the middle of the reply, "long" writes much.
 */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { WebSocketServer } from "ws";

const PORT = Number(process.env.PORT ?? 8100);
const DELTA_EVERY = Number(process.env.DELTA_MS ?? 45);
const DIST = join(import.meta.dirname, "../dist");

// The policy that Django sends with the real page.
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'";

const TYPES = { ".js": "text/javascript", ".css": "text/css", ".json": "application/json" };

const ANSWER = `You can cancel an order yourself **until the parcel leaves our warehouse**, usually within two hours.

1. Open [your orders](/help/cancel-an-order/) and choose the order.
2. Press \`Cancel order\` and pick a reason.
3. We refund the full amount to the card you paid with, in *3 to 5 working days*.

If it has already been sent, refuse the delivery or send it back within 30 days.`;

const LONG = Array.from({ length: 14 }, (_, n) => `**Step ${n + 1}.** ${ANSWER.split("\n")[0]}`).join("\n\n");

const SOURCES = [
  {
    title: "Cancel an order",
    url: "/help/cancel-an-order/#before-it-ships",
    passage:
      "You can cancel an order free of charge **until the parcel leaves our warehouse**. Open *Account → Orders*, choose the order and press *Cancel order*.",
  },
  {
    title: "Cancel an order",
    url: "/help/cancel-an-order/#after-it-ships",
    passage: "Once it has been sent, refuse the delivery or return it within 30 days.",
  },
  {
    title: "When refunds arrive",
    url: "/help/refunds/#how-long",
    passage: "Refunds go back to the payment method you used. Cards take 3 to 5 working days.",
  },
];

/** @type {Map<string, {id: string, title: string, status: string, messages: object[], turn: object | null, updated_at: string}>} */
const conversations = new Map();

function newConversation() {
  const conversation = {
    id: randomUUID(),
    title: "",
    status: "bot",
    messages: [],
    turn: null,
    updated_at: new Date().toISOString(),
  };
  conversations.set(conversation.id, conversation);
  return conversation;
}

function post(conversation, role, text, more = {}, at = new Date()) {
  const message = {
    id: randomUUID(),
    seq: conversation.messages.length + 1,
    role,
    text,
    created_at: at.toISOString(),
    ...more,
  };
  conversation.messages.push(message);
  conversation.updated_at = message.created_at;
  if (role === "customer") conversation.title ||= text.slice(0, 60);
  return message;
}

function seed() {
  const day = 86_400_000;
  for (const [ago, title, status] of [
    [9, "Which sizes does the rain jacket come in?", "closed"],
    [4, "My parcel says delivered but I never got it", "waiting"],
    [1, "Can I change the delivery address?", "bot"],
  ]) {
    const conversation = newConversation();
    const at = new Date(Date.now() - ago * day);
    for (let n = 0; n < (ago === 1 ? 40 : 1); n += 1) {
      const turn = randomUUID();
      const text = n === 0 ? title : `And what about order number ${1000 + n}?`;
      const when = new Date(at.getTime() + n * 120_000);
      post(
        conversation,
        "customer",
        text,
        { client_id: randomUUID(), turn: { id: turn, status: "done" } },
        when,
      );
      post(
        conversation,
        "bot",
        ANSWER,
        { turn: { id: turn }, sources: SOURCES },
        new Date(when.getTime() + 3_000),
      );
    }
    conversation.status = status;
  }
}

async function serve(request, response) {
  const url = new URL(request.url ?? "/", "http://localhost");
  const json = (body, status = 200) => {
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  };
  if (url.pathname === "/") {
    const manifest = JSON.parse(await readFile(join(DIST, "manifest.json"), "utf8"));
    const entry = manifest["src/chat/main.ts"];
    const styles = (entry.css ?? []).map((file) => `<link rel="stylesheet" href="/static/${file}">`).join("");
    response
      .writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY })
      .end(
        `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Support</title><meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover, interactive-widget=resizes-content"><link rel="icon" href="data:,">${styles}<script type="module" src="/static/${entry.file}"></script></head><body><div id="app"></div></body></html>`,
      );
  } else if (url.pathname.startsWith("/static/")) {
    const path = normalize(url.pathname.slice("/static/".length));
    try {
      const body = await readFile(join(DIST, path));
      response
        .writeHead(200, { "Content-Type": TYPES[extname(path)] ?? "application/octet-stream" })
        .end(body);
    } catch {
      response.writeHead(404).end();
    }
  } else if (url.pathname === "/api/chat") {
    json({
      name: "Fernweh Outdoor",
      greeting:
        "Hello from Fernweh! Ask about orders, delivery or returns, and I will look it up in our help pages.",
      starters: [
        "How can I cancel my order?",
        "Where is my parcel?",
        "How do I return something?",
        "Which payment methods do you take?",
      ],
      protocol: 1,
    });
  } else if (url.pathname === "/api/conversations") {
    const list = [...conversations.values()]
      .filter((conversation) => conversation.messages.length > 0)
      .sort((a, b) => b.updated_at.localeCompare(a.updated_at))
      .map(({ id, title, status, updated_at }) => ({ id, title, status, updated_at }));
    json({ conversations: list });
  } else if (/^\/api\/conversations\/[^/]+\/messages$/.test(url.pathname)) {
    const conversation = conversations.get(url.pathname.split("/")[3]);
    const before = Number(url.searchParams.get("before_seq"));
    const older = (conversation?.messages ?? []).filter((message) => message.seq < before);
    json({ messages: older.slice(-50), has_earlier: older.length > 50 });
  } else {
    response.writeHead(404, { "Content-Type": "text/plain" }).end("Not here");
  }
}

const clients = new Set();

class Client {
  conversation = null;
  refusals = 0;

  constructor(socket) {
    this.socket = socket;
    clients.add(this);
    socket.on("close", () => clients.delete(this));
    socket.on("message", (data) => this.receive(JSON.parse(String(data))));
  }

  send(frame) {
    if (this.socket.readyState === this.socket.OPEN) this.socket.send(JSON.stringify(frame));
  }

  receive(frame) {
    const { conversation } = this;
    switch (frame.type) {
      case "ping":
        return this.send({ type: "pong" });
      case "hello":
        return this.open(frame);
      case "conversation.new": {
        const empty = [...conversations.values()].find((candidate) => candidate.messages.length === 0);
        this.conversation = empty ?? newConversation();
        return this.ready();
      }
      case "message.send":
        return this.accept(frame);
      case "turn.cancel":
        return cancel(conversation, frame.turn);
      case "turn.retry": {
        const question = conversation.messages.findLast((message) => message.role === "customer");
        const turn = randomUUID();
        question.turn = { id: turn, status: "queued" };
        const { client_id } = question;
        publish(conversation, { type: "message.accepted", client_id, message: question, turn });
        return start(conversation, question, question.text.replace(/fail/i, ""), turn);
      }
      case "message.rate": {
        const message = conversation.messages.find(({ id }) => id === frame.message);
        message.rating = frame.rating ?? undefined;
        return publish(conversation, { type: "message.rated", message: frame.message, rating: frame.rating });
      }
      case "conversation.handoff":
        return setStatus(
          conversation,
          "waiting",
          "You are in the queue for a person. We usually answer in 5 minutes.",
        );
      case "conversation.return":
        return setStatus(conversation, "bot", "You are back with the assistant.");
    }
  }

  open(frame) {
    const wanted = conversations.get(frame.conversation);
    if (frame.conversation && !wanted) {
      return this.send({ type: "error", code: "not_found", detail: "There is no such conversation." });
    }
    this.conversation = wanted ?? this.conversation ?? newest() ?? newConversation();
    this.ready(frame);
  }

  ready({ after_seq = 0, turn, attempt, k } = {}) {
    const { conversation } = this;
    const later = conversation.messages.filter((message) => message.seq > after_seq);
    const messages = later.slice(-50);
    const open = conversation.turn;
    const from = open && open.id === turn && open.attempt === attempt ? Math.min(k, open.parts.length) : 0;
    this.send({
      type: "ready",
      protocol: 1,
      conversation: conversation.id,
      status: conversation.status,
      messages,
      seq: conversation.messages.length,
      has_earlier: (messages[0]?.seq ?? 1) > 1,
      ...(open
        ? {
            turn: {
              id: open.id,
              message: open.message,
              status: "running",
              attempt: open.attempt,
              from,
              k: open.parts.length,
              text: open.parts.slice(from).join(""),
            },
          }
        : {}),
    });
  }

  accept({ client_id, text }) {
    const { conversation } = this;
    const known = conversation.messages.find((message) => message.client_id === client_id);
    if (known)
      return this.send({ type: "message.accepted", client_id, message: known, turn: known.turn?.id ?? null });
    if (/busy/i.test(text) && this.refusals++ < 3) {
      return this.send({
        type: "error",
        code: "busy",
        detail: "Many people are asking right now.",
        client_id,
        retry_after: 1.5,
      });
    }
    if (/refuse/i.test(text)) {
      return this.send({ type: "error", code: "too_long", detail: "This message is too long.", client_id });
    }
    const message = post(conversation, "customer", text, { client_id });
    if (conversation.status !== "bot") {
      return publish(conversation, { type: "message.accepted", client_id, message, turn: null });
    }
    const turn = randomUUID();
    message.turn = { id: turn, status: "queued" };
    publish(conversation, { type: "message.accepted", client_id, message, turn });
    start(conversation, message, text, turn);
  }
}

function newest() {
  return [...conversations.values()]
    .filter(({ status }) => status === "bot")
    .sort((a, b) => b.updated_at.localeCompare(a.updated_at))[0];
}

function publish(conversation, frame) {
  for (const client of clients) if (client.conversation === conversation) client.send(frame);
}

function setStatus(conversation, status, text) {
  conversation.status = status;
  publish(conversation, { type: "conversation.updated", conversation: conversation.id, status });
  publish(conversation, { type: "message.posted", message: post(conversation, "system", text) });
}

function finish(conversation, turn, status, more = {}) {
  clearInterval(turn.timer);
  conversation.turn = null;
  const question = conversation.messages.find(({ id }) => id === turn.message);
  question.turn = { id: turn.id, status, ...more };
}

function cancel(conversation, id) {
  const { turn } = conversation;
  if (turn?.id !== id) return;
  finish(conversation, turn, "cancelled");
  const text = turn.parts.join("");
  const message = text ? post(conversation, "bot", text, { turn: { id }, stopped: true }) : undefined;
  publish(conversation, { type: "turn.cancelled", turn: id, message });
}

function start(conversation, question, text, id) {
  const whole = /long/i.test(text) ? LONG : ANSWER;
  const words = whole.match(/\s*\S+/g) ?? [];
  const turn = { id, message: question.id, attempt: 1, parts: [], timer: undefined };
  conversation.turn = turn;
  question.turn = { id, status: "running" };
  let waits = 15;
  turn.timer = setInterval(() => {
    if (waits-- > 0) {
      if (waits === 10) publish(conversation, { type: "turn.started", turn: id, attempt: 1 });
      return;
    }
    if (/fail/i.test(text)) {
      const detail = "I could not answer this. You can try again or talk to a person.";
      finish(conversation, turn, "failed", { code: "engine", detail });
      publish(conversation, { type: "turn.failed", turn: id, code: "engine", detail });
    } else if (/person|human/i.test(text)) {
      finish(conversation, turn, "done");
      const message = post(conversation, "bot", "Of course. I am asking a colleague to take over.", {
        turn: { id },
      });
      publish(conversation, { type: "reply.finished", turn: id, message });
      if (/human/i.test(text)) {
        conversation.status = "human";
        publish(conversation, {
          type: "conversation.updated",
          conversation: conversation.id,
          status: "human",
        });
        const hello = post(
          conversation,
          "agent",
          "Hi, this is **Mara** from support. I have read your messages.",
        );
        publish(conversation, { type: "message.posted", message: hello });
      } else
        setStatus(
          conversation,
          "waiting",
          "You are in the queue for a person. We usually answer in 5 minutes.",
        );
    } else if (turn.parts.length < words.length) {
      const k = turn.parts.length;
      turn.parts.push(words[k]);
      publish(conversation, { type: "reply.delta", turn: id, attempt: 1, k, text: words[k] });
      if (/drop/i.test(text) && k === 20) for (const { socket } of clients) socket.terminate();
    } else {
      finish(conversation, turn, "done");
      const message = post(conversation, "bot", whole, {
        turn: { id },
        intent: "Cancel an order",
        sources: SOURCES,
        quick_replies: ["When do I get my refund?", "Talk to a person"],
      });
      publish(conversation, { type: "reply.finished", turn: id, message });
      if (/close/i.test(text)) {
        conversation.status = "closed";
        publish(conversation, {
          type: "conversation.updated",
          conversation: conversation.id,
          status: "closed",
        });
      }
    }
  }, DELTA_EVERY);
}

seed();
const server = createServer((request, response) => void serve(request, response));
new WebSocketServer({ server, path: "/ws/chat/", maxPayload: 65_536 }).on(
  "connection",
  (socket) => new Client(socket),
);
server.listen(PORT, "127.0.0.1", () => console.log(`http://127.0.0.1:${PORT}`));
