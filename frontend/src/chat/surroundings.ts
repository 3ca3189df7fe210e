/** What the session needs of the browser, so that tests can stand in for it. */
import type { Storage } from "../shared/storage";
import type { Api } from "./api";
import type { Connect } from "./connection";
import type { FileServer } from "./files/fileServer";

export interface Surroundings {
  api: Api;
  files: FileServer;
  connect: Connect;
  storage: Storage;
  /** Milliseconds that only grow between reloads as a clock does. */
  now(): number;
  /** 1–64 of `[A-Za-z0-9_-]`, never the same twice. */
  newId(): string;
  /** False where the browser knows that it has no network. */
  isOnline(): boolean;
  /** The conversation named by the page's address, which survives a reload. */
  address: { read(): string | null; write(conversation: string): void };
}
