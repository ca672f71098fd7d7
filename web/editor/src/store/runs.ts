// What runs: the queue, how far each node is, what it showed, what went wrong. Filled by api/, read by canvas and panels.
import { create } from "zustand";

export interface Picture {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: string;
}

/** How a node of a job is. Ids are the server's: "5:12" within a subgraph. */
export interface NodeRun {
  readonly state: "waiting" | "running" | "done" | "cached" | "failed" | "blocked";
  readonly value?: number;
  readonly total?: number;
  readonly seconds?: number;
  /** A sentence from the server. */
  readonly error?: string;
  /** The address of a picture of work in progress. */
  readonly preview?: string;
  readonly pictures?: readonly Picture[];
  readonly text?: readonly string[];
}

/** What went wrong, of a node, or without one of the job as a whole. */
export interface Failure {
  readonly node?: string;
  readonly nodeType: string;
  /** A sentence from the server. */
  readonly message: string;
  readonly exception: string;
  readonly traceback: readonly string[];
}

export interface Job {
  readonly id: string;
  readonly status: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
  readonly number: number;
  /** The tab that sent it, if this window did. */
  readonly tab?: string;
  /** Times are in ms since 1970. */
  readonly createdAt: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
  readonly nodes: Readonly<Record<string, NodeRun>>;
  /** What is known of its pictures: there may be `pictureCount`. */
  readonly pictures: readonly Picture[];
  readonly pictureCount: number;
  readonly failures: readonly Failure[];
  /** Why it failed, was cancelled or waits again: a sentence. */
  readonly reason?: string;
  /** The last event that was seen, to go on from. */
  readonly sequence: number;
}

export interface Runs {
  readonly jobs: Readonly<Record<string, Job>>;
  /** Ids: what runs and waits, in the queue's order; what is over, newest first. */
  readonly queue: readonly string[];
  readonly history: readonly string[];
  /** Whether more is over than the history has. */
  readonly hasMore: boolean;
  readonly isPaused: boolean;
  /** By tab: the job that its canvas shows, the latest that it sent. */
  readonly shown: Readonly<Record<string, string>>;
  /** What the server found wrong before it ran anything: by tab, then by node id. */
  readonly problems: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

export const useRuns = create<Runs>()(() => ({
  jobs: {},
  queue: [],
  history: [],
  hasMore: false,
  isPaused: false,
  shown: {},
  problems: {},
}));

export const isOver = ({ status }: Job): boolean => status !== "pending" && status !== "in_progress";

/** The job that a tab's canvas shows. */
export const shownJob = (runs: Runs, tab: string): Job | undefined => runs.jobs[runs.shown[tab] ?? ""];

/** How a node is in the job that its tab shows; of an instance of a subgraph, what is inside together. */
export function nodeRun(runs: Runs, tab: string, node: string): NodeRun | undefined {
  const job = shownJob(runs, tab);
  return job && (job.nodes[node] ?? insideOf(job.nodes, node));
}

/** What the server found wrong with a node; of an instance of a subgraph, with what is inside. */
export function problemsOf(runs: Runs, tab: string, node: string): readonly string[] | undefined {
  const all = runs.problems[tab];
  if (!all) return undefined;
  return all[node] ?? together(all, node, (found) => found.flat());
}

const insideOf = (nodes: Job["nodes"], instance: string): NodeRun | undefined => together(nodes, instance, sum);

// What is asked for at every drawing is the same object as long as nothing changed.
const MADE = new WeakMap<object, Map<string, unknown>>();

function together<Each, All>(
  all: Readonly<Record<string, Each>>,
  instance: string,
  made: (found: Each[]) => All,
): All | undefined {
  const known = MADE.get(all) ?? new Map<string, unknown>();
  MADE.set(all, known);
  if (!known.has(instance)) {
    const found = Object.keys(all)
      .filter((id) => id.startsWith(`${instance}:`))
      .flatMap((id) => all[id] ?? []);
    known.set(instance, found.length > 0 ? made(found) : undefined);
  }
  return known.get(instance) as All | undefined;
}

function sum(inside: readonly NodeRun[]): NodeRun {
  const has = (state: NodeRun["state"]) => inside.some((each) => each.state === state);
  const ended = inside.filter((each) => each.state !== "waiting" && each.state !== "running");
  const running = inside.find((each) => each.state === "running");
  const state = has("failed")
    ? "failed"
    : running || (ended.length > 0 && ended.length < inside.length)
      ? "running"
      : has("waiting")
        ? "waiting"
        : has("blocked")
          ? "blocked"
          : has("done")
            ? "done"
            : "cached";
  const seconds = inside.reduce((all, each) => all + (each.seconds ?? 0), 0);
  return {
    state,
    ...(state === "running" ? { value: ended.length, total: inside.length } : {}),
    ...(seconds > 0 ? { seconds } : {}),
    error: inside.find((each) => each.error)?.error,
    preview: running?.preview,
  };
}

/** How much of a job is done, from 0 to 1: nodes, and parts of those that run. */
export function fractionDone(job: Job): number {
  const nodes = Object.values(job.nodes);
  if (nodes.length === 0) return 0;
  const parts = nodes.map(({ state, value = 0, total = 0 }) =>
    state === "waiting" ? 0 : state === "running" ? (total > 0 ? Math.min(value / total, 1) : 0) : 1,
  );
  return parts.reduce<number>((all, each) => all + each, 0) / nodes.length;
}
