// @vitest-environment happy-dom
import { expect, it } from "vitest";
import { withEntry } from "@/api/events";
import { merged } from "@/api/follow";
import type { JobEntry } from "@/api/types.gen";
import { type Job, type Runs, useRuns } from "@/store/runs";
import recorded from "./recorded.json";

const ENTRY = recorded.entry as unknown as JobEntry;

const entry = (id: string, status: JobEntry["status"], part: Partial<JobEntry> = {}): JobEntry => ({
  ...ENTRY,
  id,
  status,
  execution_end_time: null,
  ...part,
});

const runs = (...jobs: Job[]): Runs => ({
  ...useRuns.getInitialState(),
  jobs: Object.fromEntries(jobs.map((job) => [job.id, job])),
});

it("What runs comes before what waits, which is in the queue's order", () => {
  const found = merged(runs(), {}, [
    entry("late", "pending", { queue_position: 2 }),
    entry("next", "pending", { queue_position: 1 }),
    entry("now", "in_progress"),
  ]);
  expect(found.queue).toEqual(["now", "next", "late"]);
});

it("What is over comes with the newest first", () => {
  const found = merged(runs(), {}, [
    entry("old", "completed", { execution_end_time: 1 }),
    entry("new", "failed", { execution_end_time: 2 }),
  ]);
  expect(found.history).toEqual(["new", "old"]);
});

it("A job that was sent while the list was on its way stays; one that the list had and has no more goes", () => {
  const known = runs(
    withEntry(entry("gone", "pending"), undefined, false),
    withEntry(entry("sent", "pending"), undefined, false),
  );
  const { gone } = known.jobs;
  const found = merged(known, gone ? { gone } : {}, []);
  expect(Object.keys(found.jobs)).toEqual(["sent"]);
  expect(found.queue).toEqual(["sent"]);
});

it("A job whose events went on while the list was on its way keeps their state", () => {
  const before = withEntry(entry("one", "in_progress"), undefined, false);
  const after: Job = { ...before, status: "completed", sequence: 9, endedAt: 5 };
  const found = merged(runs(after), { one: before }, [entry("one", "in_progress")]);
  expect(found.jobs.one?.status).toBe("completed");
  expect(found.history).toEqual(["one"]);
});

it("Of long histories only the newest jobs, and what is shown, keep their nodes", () => {
  const jobs = Array.from({ length: 60 }, (_, n) => entry(`${n}`, "completed", { execution_end_time: n + 1 }));
  const known = jobs.map((each) => ({
    ...withEntry(each, undefined, false),
    sequence: 5,
    nodes: { a: { state: "done" } as const },
  }));
  const state = { ...runs(...known), shown: { tab: "0" } };
  const found = merged(state, state.jobs, jobs);
  const kept = Object.values(found.jobs).filter(({ nodes }) => nodes.a);
  expect(kept).toHaveLength(21);
  expect(found.jobs["0"]?.nodes.a).toBeDefined();
  expect(found.jobs["30"]?.sequence).toBe(0);
});
