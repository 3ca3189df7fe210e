/** The socket: reconnects with backoff, finds out when it is dead, turns text into frames. */
import ReconnectingWebSocket from "partysocket/ws";

import {
  clientFrames,
  parseServerFrame,
  ProtocolError,
  type ClientFrame,
  type ServerFrame,
} from "../shared/protocol";

export interface Listener<F = ServerFrame> {
  opened(): void;
  closed(failures: number): void;
  received(frame: F): void;
  /** Something arrived that cannot be understood. */
  garbled(error: ProtocolError): void;
}

export interface Connection<C = ClientFrame> {
  /** Sends now, or returns false: nothing is queued here. */
  send(frame: C): boolean;
  /** Drops what there is and connects at once. */
  reconnect(): void;
  close(): void;
}

export type Connect<F = ServerFrame, C = ClientFrame> = (listener: Listener<F>) => Connection<C>;

const PING_EVERY = 20_000;

/** A server that says nothing for this long after being asked is gone. */
const ANSWER_WITHIN = 10_000;

/** A handshake refused this often may mean that the visitor's cookie or session has expired. */
const RENEW_AFTER = 2;

export interface ConnectionOptions {
  url: string;
  renew: () => Promise<void>;
  /** What is offered as subprotocols: an embedded page says there who it is. */
  protocols?: () => string[];
  /** For tests. */
  WebSocket?: unknown;
}

/** Opens a connection of the chat and keeps it open until `close`. */
export function connect(options: ConnectionOptions, listener: Listener): Connection {
  return hold(options, parseServerFrame, listener);
}

/** Opens a connection that speaks any set of frames with a ping, and keeps it open until `close`. */
export function hold<F, C extends { type: string }>(
  { url, renew, protocols, WebSocket }: ConnectionOptions,
  parse: (text: string) => F | null,
  listener: Listener<F>,
): Connection<C> {
  let failures = 0;
  let pingTimer: ReturnType<typeof setInterval> | undefined;
  let deadline: ReturnType<typeof setTimeout> | undefined;
  let socket = open();

  async function address(): Promise<string> {
    if (failures >= RENEW_AFTER) await renew().catch(() => undefined);
    return url;
  }

  function open(): ReconnectingWebSocket {
    const opened = new ReconnectingWebSocket(address, protocols, {
      // Spread, so that a restarted server does not meet all of its visitors in the same instant.
      minReconnectionDelay: 300 + Math.random() * 700,
      maxReconnectionDelay: 10_000,
      reconnectionDelayGrowFactor: 1.7,
      connectionTimeout: 8_000,
      // A connection that held this long ends the backoff.
      minUptime: 3_000,
      maxEnqueuedMessages: 0,
      ...(WebSocket === undefined ? {} : { WebSocket }),
    });
    opened.addEventListener("open", () => {
      if (opened !== socket) return;
      stopTimers();
      pingTimer = setInterval(() => send(clientFrames.ping()), PING_EVERY);
      listener.opened();
    });
    opened.addEventListener("message", (event) => {
      if (opened === socket) receive(String(event.data));
    });
    opened.addEventListener("close", () => {
      if (opened !== socket) return;
      stopTimers();
      failures += 1;
      listener.closed(failures);
    });
    return opened;
  }

  function stopTimers(): void {
    clearInterval(pingTimer);
    clearTimeout(deadline);
    deadline = undefined;
  }

  function receive(text: string): void {
    clearTimeout(deadline);
    deadline = undefined;
    // Not when it opens: a server may accept a socket only to say by its close that it is refused.
    failures = 0;
    try {
      const frame = parse(text);
      if (frame !== null) listener.received(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      listener.garbled(error);
    }
  }

  function send(frame: C | ReturnType<typeof clientFrames.ping>): boolean {
    if (socket.readyState !== socket.OPEN) return false;
    socket.send(JSON.stringify(frame));
    // Only a ping is always answered at once; a command may wait for the database.
    if (frame.type === "ping") deadline ??= setTimeout(reconnect, ANSWER_WITHIN);
    return true;
  }

  function reconnect(): void {
    stopTimers();
    const old = socket;
    // The library's own reconnect would sit out a backoff that is already running.
    socket = open();
    old.close();
    listener.closed(failures);
  }

  function close(): void {
    stopTimers();
    socket.close();
  }

  return { send, reconnect, close };
}
