// What runs: the queue, how far each node is, what it showed, what went wrong. Filled by api/, read by canvas and panels.
import { create } from "zustand";
import type { JsonObject } from "@/document/types";

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

export interface Job {
  readonly id: string;
  readonly status: "pending" | "in_progress" | "completed" | "failed" | "cancelled";
  readonly number: number;
  /** The tab that sent it, if this window did. */
  readonly tab?: string;
  readonly createdAt: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
  readonly nodes: Readonly<Record<string, NodeRun>>;
  readonly pictures: readonly Picture[];
  readonly reason?: string;
  /** The last event that was seen, to go on from. */
  readonly sequence: number;
  readonly extra?: JsonObject;
}

export interface Runs {
  readonly jobs: Readonly<Record<string, Job>>;
  /** Ids: what waits and runs, in the queue's order; what is over, newest first. */
  readonly queue: readonly string[];
  readonly history: readonly string[];
  readonly isPaused: boolean;
  /** What the server found wrong before it ran anything: by tab, then by node id. */
  readonly problems: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

export const useRuns = create<Runs>()(() => ({ jobs: {}, queue: [], history: [], isPaused: false, problems: {} }));
