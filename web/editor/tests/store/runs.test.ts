import { expect, it } from "vitest";
import { fractionDone, type Job, type NodeRun, nodeRun, problemsOf, type Runs, useRuns } from "@/store/runs";

const withNodes = (nodes: Record<string, NodeRun>): Runs => {
  const job: Job = {
    id: "j",
    status: "in_progress",
    number: 1,
    createdAt: 0,
    nodes,
    pictures: [],
    pictureCount: 0,
    failures: [],
    sequence: 0,
  };
  return { ...useRuns.getInitialState(), jobs: { j: job }, shown: { t: "j" } };
};

it("A node is as the latest job of its tab says", () => {
  const runs = withNodes({ "3": { state: "cached" } });
  expect(nodeRun(runs, "t", "3")?.state).toBe("cached");
  expect(nodeRun(runs, "t", "4")).toBeUndefined();
  expect(nodeRun(runs, "other", "3")).toBeUndefined();
});

it("An instance of a subgraph runs until all inside has ended, and fails with what is inside", () => {
  const inside = (...states: NodeRun["state"][]) =>
    nodeRun(withNodes(Object.fromEntries(states.map((state, n) => [`5:${n}`, { state, seconds: 1 }]))), "t", "5");
  expect(inside("waiting", "waiting")).toMatchObject({ state: "waiting" });
  expect(inside("done", "waiting")).toMatchObject({ state: "running", value: 1, total: 2 });
  expect(inside("done", "cached")).toMatchObject({ state: "done", seconds: 2 });
  expect(inside("cached", "cached")).toMatchObject({ state: "cached" });
  expect(inside("done", "failed", "waiting")).toMatchObject({ state: "failed" });
});

it("What is asked for again is the same object, and another instance's nodes do not count", () => {
  const runs = withNodes({ "5:1": { state: "done" }, "55:1": { state: "failed" }, "5:2:3": { state: "done" } });
  expect(nodeRun(runs, "t", "5")).toBe(nodeRun(runs, "t", "5"));
  expect(nodeRun(runs, "t", "5")?.state).toBe("done");
  expect(nodeRun(runs, "t", "5:2")?.state).toBe("done");
});

it("Problems inside a subgraph are its instance's, too", () => {
  const runs = { ...withNodes({}), problems: { t: { "5:1": ["One."], "5:2": ["Two."], "6": ["Six."] } } };
  expect(problemsOf(runs, "t", "5")).toEqual(["One.", "Two."]);
  expect(problemsOf(runs, "t", "6")).toEqual(["Six."]);
  expect(problemsOf(runs, "t", "7")).toBeUndefined();
});

it("A job is done as far as its nodes are", () => {
  const { jobs } = withNodes({
    a: { state: "done" },
    b: { state: "running", value: 5, total: 10 },
    c: { state: "waiting" },
    d: { state: "running", value: 3, total: 0 },
  });
  expect(jobs.j && fractionDone(jobs.j)).toBeCloseTo(1.5 / 4);
});
