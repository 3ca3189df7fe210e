/** Where files go to and come from: uploads with their progress, and what was sent. */
import { responses, type Attachment } from "../../shared/protocol";

/** The server does not take a file. `reason` is its word for why, `detail` its sentence. */
export class UploadRefused extends Error {
  override name = "UploadRefused";

  constructor(
    readonly reason: string,
    readonly detail: string,
  ) {
    super(detail);
  }
}

export interface Upload {
  /** Rejects with UploadRefused where the file is not taken, and with any other error where it did not arrive. */
  readonly done: Promise<Attachment>;
  abort(): void;
}

export interface FileServer {
  /** `onprogress` is told the share that has been sent, from 0 to 1. */
  upload(conversation: string, file: File, onprogress: (share: number) => void): Upload;
  /** Takes back what was not sent. Where it fails the server sweeps it later. */
  discard(id: string): void;
  /** Fetches what an address alone does not open, as where the page has no cookie; `null` where it does. */
  readonly fetch: ((path: string) => Promise<Blob>) | null;
}

export function openFileServer(token?: () => string): FileServer {
  const headers = (): Record<string, string> =>
    token === undefined ? {} : { Authorization: `Bearer ${token()}` };
  const credentials: RequestCredentials = token === undefined ? "same-origin" : "omit";

  return {
    upload(conversation, file, onprogress) {
      // fetch tells nothing of how far an upload is.
      const request = new XMLHttpRequest();
      const done = new Promise<Attachment>((resolve, reject) => {
        request.upload.onprogress = ({ loaded, total }) => onprogress(total > 0 ? loaded / total : 0);
        request.onload = () => {
          try {
            resolve(answer(request));
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        };
        request.onerror = request.ontimeout = () => reject(new Error("the upload did not arrive"));
        request.onabort = () => reject(new Error("the upload was given up"));
      });
      request.open("POST", "/api/attachments");
      for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
      const body = new FormData();
      body.append("conversation", conversation);
      body.append("file", file);
      request.send(body);
      return { done, abort: () => request.abort() };
    },
    discard(id) {
      void fetch(`/api/attachments/${encodeURIComponent(id)}`, {
        method: "DELETE",
        headers: headers(),
        credentials,
      }).catch(() => undefined);
    },
    fetch:
      token === undefined
        ? null
        : async (path) => {
            const response = await fetch(path, { headers: headers(), credentials });
            if (!response.ok) throw new Error(`${path} answered ${response.status}`);
            return await response.blob();
          },
  };
}

function answer(request: XMLHttpRequest): Attachment {
  const body = JSON.parse(request.responseText) as Record<string, unknown>;
  if (request.status === 201) return responses.attachment(body);
  const word = (key: string): string => (typeof body[key] === "string" ? body[key] : "");
  throw new UploadRefused(word("reason") || word("code"), word("detail"));
}
