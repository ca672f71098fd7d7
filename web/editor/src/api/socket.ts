// The WebSocket: what happens while it happens. It is opened again whenever it closes; what was missed meanwhile is
// asked for by follow.ts.
import type { JsonObject } from "@/document/types";
import { address } from "./client";

export interface Message {
  readonly type: string;
  readonly data: JsonObject;
}

/** A picture of work in progress. */
export interface Preview {
  readonly job: string;
  readonly node: string;
  readonly picture: Blob;
}

export interface Listener {
  readonly onOpen: () => void;
  readonly onLost: () => void;
  readonly onMessage: (message: Message) => void;
  readonly onPreview: (preview: Preview) => void;
}

const FIRST_WAIT_MS = 300;
const MOST_WAIT_MS = 5000;
const PREVIEW_WITH_METADATA = 4;
const KEPT = "darkroom.client";

/**
 * Who this window is to the server: the same after it was loaded anew. The id lies in the session's storage only while
 * the page is being left, since a window that is duplicated takes a copy of the storage with it.
 */
export function clientId(): string {
  const id = sessionStorage.getItem(KEPT) ?? crypto.randomUUID();
  sessionStorage.removeItem(KEPT);
  addEventListener("pagehide", () => sessionStorage.setItem(KEPT, id));
  addEventListener("pageshow", () => sessionStorage.removeItem(KEPT));
  return id;
}

/** Connect, and stay so until the function that is returned is called. */
export function connect(client: string, listener: Listener): () => void {
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let waitMs = FIRST_WAIT_MS;
  let isWanted = true;

  function open(): void {
    clearTimeout(timer);
    const url = address("/ws", { clientId: client }).replace(/^http/, "ws");
    const opened = new WebSocket(url);
    socket = opened;
    opened.binaryType = "arraybuffer";
    opened.onopen = () => {
      waitMs = FIRST_WAIT_MS;
      opened.send(JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: true } }));
      listener.onOpen();
    };
    opened.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (typeof data !== "string") {
        const preview = readPreview(data);
        if (preview) listener.onPreview(preview);
      } else {
        const message = readMessage(data);
        if (message) listener.onMessage(message);
      }
    };
    opened.onclose = () => {
      if (!isWanted || socket !== opened) return;
      listener.onLost();
      timer = setTimeout(open, waitMs * (0.8 + Math.random() * 0.4));
      waitMs = Math.min(waitMs * 2, MOST_WAIT_MS);
    };
  }

  const openAtOnce = () => {
    if (socket?.readyState === WebSocket.CLOSED) open();
  };
  addEventListener("online", openAtOnce);
  open();
  return () => {
    isWanted = false;
    clearTimeout(timer);
    removeEventListener("online", openAtOnce);
    socket?.close();
  };
}

/** A message, or undefined for what is none. */
export function readMessage(data: string): Message | undefined {
  try {
    const message: unknown = JSON.parse(data);
    const { type, data: said } = message as Partial<Message>;
    return typeof type === "string" && said !== null && typeof said === "object" ? { type, data: said } : undefined;
  } catch {
    return undefined;
  }
}

/** A preview that says whose it is; undefined for frames of other kinds and for what is broken. */
export function readPreview(frame: ArrayBuffer): Preview | undefined {
  const view = new DataView(frame);
  if (frame.byteLength < 8 || view.getUint32(0) !== PREVIEW_WITH_METADATA) return undefined;
  const end = 8 + view.getUint32(4);
  if (end > frame.byteLength) return undefined;
  try {
    const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(frame, 8, end - 8)));
    return {
      job: String(facts.prompt_id),
      node: String(facts.display_node_id ?? facts.node_id),
      picture: new Blob([frame.slice(end)], { type: String(facts.image_type) }),
    };
  } catch {
    return undefined;
  }
}
