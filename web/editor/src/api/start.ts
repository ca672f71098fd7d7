// The editor's connection to its server, from the first page on.
import { parseJson } from "@/document/json";
import { readDefinitions } from "@/document/read_definitions";
import type { JsonObject } from "@/document/types";
import { useRuns } from "@/store/runs";
import { useServer } from "@/store/server";
import { useSettings } from "@/store/settings";
import { address, send } from "./client";
import { pullRunning, refresh, take, takePreview } from "./follow";
import { takeLog } from "./log";
import { watchProblems } from "./problems";
import { lastSent } from "./sent";
import { clientId, connect } from "./socket";

const AGAIN_MS = 1000;

/** Load the node classes, connect, and follow what runs; until the function that is returned is called. */
export function start(): () => void {
  const client = clientId();
  let known = { info: "", translations: "" };
  let isWanted = true;

  const define = () => {
    if (known.info === "") return;
    const languages = parseJson(known.translations) as JsonObject;
    const definitions = readDefinitions(parseJson(known.info), languages[useSettings.getState().language]);
    useServer.setState({ definitions });
  };

  async function load(): Promise<void> {
    try {
      const [info, translations] = await Promise.all(
        ["/object_info", "/i18n"].map(async (path) => (await send(address(path))).text()),
      );
      if (info === undefined || translations === undefined) return;
      const isNew = info !== known.info || translations !== known.translations;
      known = { info, translations };
      if (isNew) define();
    } catch {
      // It is starting, or gone: then the socket opens again and this is called anew.
      if (isWanted && useServer.getState().connection === "open") setTimeout(load, AGAIN_MS);
    }
  }

  async function catchUp(): Promise<void> {
    try {
      await refresh();
    } catch {
      if (isWanted && useServer.getState().connection === "open") setTimeout(catchUp, AGAIN_MS);
    }
  }

  useServer.setState({ client });
  useRuns.setState({ shown: lastSent() });
  const disconnect = connect(client, {
    onOpen: () => {
      useServer.setState({ connection: "open" });
      void load();
      void catchUp();
    },
    onLost: () => useServer.setState({ connection: "lost" }),
    onMessage: (message) => {
      if (message.type === "logs") takeLog(message.data);
      else take(message);
    },
    onPreview: takePreview,
  });
  const unwatch = watchProblems();
  const unsubscribe = useSettings.subscribe((now, before) => {
    if (now.language !== before.language) define();
  });
  const timer = setInterval(() => {
    if (useServer.getState().connection === "open") pullRunning();
  }, AGAIN_MS);
  return () => {
    isWanted = false;
    disconnect();
    unwatch();
    unsubscribe();
    clearInterval(timer);
  };
}
