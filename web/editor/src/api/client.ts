// Asking the server: typed by what it says of itself, whole numbers of any size exact, refusals as sentences.
import { parseJson, printJson } from "@/document/json";
import type { Json, JsonObject } from "@/document/types";
import { text } from "@/store/text";
import type { Delete, Get, Patch, Post } from "./types.gen";

type Asked = { readonly path?: object; readonly query?: object; readonly body?: unknown };
type Part<Route, Name extends string> = Route extends { [K in Name]: infer P }
  ? { readonly [K in Name]: P }
  : Route extends { [K in Name]?: infer P }
    ? { readonly [K in Name]?: P }
    : unknown;
type Parts<Route> = Part<Route, "path"> &
  Part<Route, "query"> &
  Part<Route, "body"> & { readonly signal?: AbortSignal };
/** What goes with a request: nothing has to be said where nothing must. */
type Said<Route> = Record<never, never> extends Parts<Route> ? [parts?: Parts<Route>] : [parts: Parts<Route>];
type Answer<Route> = Route extends { answer: infer A } ? A : never;

/** The server did not do what it was asked for; the message is a sentence for people. */
export class Refused extends Error {
  constructor(
    message: string,
    /** 0 if the server did not answer. */
    readonly status: number,
    /** For programs, such as "queue_full". */
    readonly kind: string = "",
    readonly details: string = "",
    /** What is wrong with nodes, by their ids. */
    readonly nodes: Readonly<Record<string, readonly string[]>> = {},
  ) {
    super(message);
  }
}

/** Where the server has something: `/jobs` is also below /api, what is /internal is not. */
export function address(path: string, query: Readonly<Record<string, unknown>> = {}): string {
  const url = new URL(path.startsWith("/internal") ? path.slice(1) : `api${path}`, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return url.href;
}

export const get = <P extends keyof Get>(path: P, ...said: Said<Get[P]>): Promise<Answer<Get[P]>> =>
  ask("GET", path, said[0]);
export const post = <P extends keyof Post>(path: P, ...said: Said<Post[P]>): Promise<Answer<Post[P]>> =>
  ask("POST", path, said[0]);
export const patch = <P extends keyof Patch>(path: P, ...said: Said<Patch[P]>): Promise<Answer<Patch[P]>> =>
  ask("PATCH", path, said[0]);
export const remove = <P extends keyof Delete>(path: P, ...said: Said<Delete[P]>): Promise<Answer<Delete[P]>> =>
  ask("DELETE", path, said[0]);

async function ask<A>(method: string, path: string, said: (Asked & { readonly signal?: AbortSignal }) | undefined) {
  const names = (said?.path ?? {}) as Readonly<Record<string, string>>;
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? ""));
  const response = await send(address(filled, said?.query as Readonly<Record<string, unknown>>), {
    method,
    signal: said?.signal,
    ...(said?.body === undefined
      ? {}
      : { body: printJson(said.body as Json), headers: { "Content-Type": "application/json" } }),
  });
  const body = await response.text();
  return (body === "" ? null : parseJson(body)) as A;
}

/** Fetch, and throw Refused for what is no success. Who is not logged in sees the page where that is done. */
export async function send(url: string, how?: RequestInit): Promise<Response> {
  const response = await fetch(url, how).catch((error: unknown) => {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Refused(text("server.noAnswer"), 0);
  });
  if (response.status === 401) location.reload();
  if (!response.ok) throw refused(response.status, await response.text().catch(() => ""));
  return response;
}

/** The server's one shape of errors. */
export function refused(status: number, body: string): Refused {
  try {
    const { error, node_errors: nodes } = parseJson(body) as { error: JsonObject; node_errors?: JsonObject };
    return new Refused(
      String(error.message),
      status,
      String(error.type),
      String(error.details ?? ""),
      sentences(nodes),
    );
  } catch {
    return new Refused(text("server.strangeAnswer", { status }), status);
  }
}

/** /prompt's node_errors as sentences by node id. */
export function sentences(nodes: unknown): Record<string, readonly string[]> {
  const all = (nodes ?? {}) as Readonly<Record<string, { readonly errors?: readonly JsonObject[] }>>;
  return Object.fromEntries(
    Object.entries(all).map(([id, { errors = [] }]) => [
      id,
      errors.map((each) => String(each.details || each.message)),
    ]),
  );
}
