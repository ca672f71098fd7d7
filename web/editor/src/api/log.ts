// The server's log, as long as somebody looks at it.
import type { JsonObject } from "@/document/types";
import { addLines, type LogLine } from "@/store/log";
import { useServer } from "@/store/server";
import { get, patch } from "./client";

/** New lines, as the socket tells them. */
export const takeLog = (data: JsonObject): void => addLines(linesOf(data.entries));

/** Show the last lines and all that come, also after the connection was lost; until the returned function is called. */
export function followLog(): () => void {
  const begin = async () => {
    await subscribe(true);
    addLines(linesOf((await get("/internal/logs/raw")).entries), true);
  };
  const beginIfOpen = () => {
    if (useServer.getState().connection === "open") begin().catch(() => undefined);
  };
  beginIfOpen();
  const stop = useServer.subscribe((now, before) => {
    if (now.connection !== before.connection) beginIfOpen();
  });
  return () => {
    stop();
    subscribe(false).catch(() => undefined);
  };
}

const subscribe = (enabled: boolean): Promise<null> =>
  patch("/internal/logs/subscribe", { body: { clientId: useServer.getState().client, enabled } });

function linesOf(entries: unknown): LogLine[] {
  const all = Array.isArray(entries) ? (entries as readonly { readonly t?: unknown; readonly m?: unknown }[]) : [];
  return all.map(({ t, m }) => ({ time: String(t), text: String(m) }));
}
