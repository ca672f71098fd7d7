import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { union, withEntry, withEvents } from "@/api/events";
import type { JobEntry, JobEvent } from "@/api/types.gen";
import type { Job } from "@/store/runs";
import recorded from "./recorded.json";

const EVENTS = recorded.events as unknown as readonly JobEvent[];
const ENTRY = recorded.entry as unknown as JobEntry;

const job = (part: Partial<Job> = {}): Job => ({
  id: "one",
  status: "pending",
  number: 1,
  createdAt: 0,
  nodes: {},
  pictures: [],
  pictureCount: 0,
  failures: [],
  sequence: 0,
  ...part,
});

const until = (event: string, node?: string) =>
  EVENTS.slice(0, EVENTS.findIndex((each) => each.event === event && each.node_id === node) + 1);

const event = (sequence: number, kind: JobEvent["event"], part: Partial<JobEvent> = {}): JobEvent => ({
  sequence,
  at: sequence * 1000,
  event: kind,
  ...part,
});

describe("a job that was recorded", () => {
  it("ends completed, with its picture and the times of its nodes", () => {
    const found = withEvents(job(), EVENTS);
    expect(found.status).toBe("completed");
    expect(found.pictures).toEqual([{ filename: "darkroom_00001_.png", subfolder: "", type: "output" }]);
    expect(found.nodes.save).toMatchObject({ state: "done", pictures: found.pictures });
    expect(found.nodes.positive?.seconds).toBeCloseTo(2.21, 2);
    expect(found.endedAt).toBe(EVENTS.at(-1)?.at);
  });

  it("has nodes that wait and one that runs on the way", () => {
    const found = withEvents(job(), until("node_started", "sampler"));
    expect(found.status).toBe("in_progress");
    expect(found.nodes.sampler?.state).toBe("running");
    expect(found.nodes.decode?.state).toBe("waiting");
    expect(found.nodes.latent?.state).toBe("done");
  });

  it("is the same in whatever parts its events come, also when parts come twice", () => {
    const whole = withEvents(job(), EVENTS);
    fc.assert(
      fc.property(fc.array(fc.nat(EVENTS.length), { maxLength: 6 }), (cuts) => {
        let now = job();
        let from = 0;
        for (const cut of [...cuts.sort((a, b) => a - b), EVENTS.length]) {
          now = withEvents(now, EVENTS.slice(Math.max(0, from - 2), cut));
          from = cut;
        }
        expect(now).toEqual(whole);
      }),
    );
  });
});

describe("events", () => {
  it("say of a failure which node, why, and where in the code", () => {
    const failed = withEvents(job(), [
      event(1, "job_started"),
      event(2, "run_started", { node_ids: ["1", "2"] }),
      event(3, "node_started", { node_id: "1", display_id: "1" }),
      event(4, "node_failed", {
        node_id: "1",
        display_id: "1",
        class_type: "K",
        message: "It broke.",
        traceback: ["x"],
      }),
      event(5, "job_finished", {
        status: "failed",
        reason: "It broke.",
        problems: [{ node_id: "1", sentence: "It broke." }],
      }),
    ]);
    expect(failed.status).toBe("failed");
    expect(failed.nodes).toEqual({ "1": { state: "failed", error: "It broke.", value: undefined, total: undefined } });
    expect(failed.failures).toEqual([
      { node: "1", nodeType: "K", message: "It broke.", exception: "", traceback: ["x"] },
    ]);
  });

  it("of nodes that another one made count for that one, which runs until it has ended itself", () => {
    const made = { node_id: "1.0.0.2", display_id: "1" };
    const inside = withEvents(job(), [
      event(1, "node_started", { node_id: "1", display_id: "1" }),
      event(2, "node_started", made),
      event(3, "node_progress", { ...made, value: 2, total: 4 }),
      event(4, "node_finished", { ...made, seconds: 2 }),
    ]);
    expect(inside.nodes).toEqual({ "1": { state: "running", value: undefined, total: undefined, seconds: 2 } });
    expect(
      withEvents(inside, [event(5, "node_finished", { node_id: "1", display_id: "1", seconds: 3 })]).nodes["1"],
    ).toMatchObject({ state: "done", seconds: 3 });
  });

  it("of a second attempt begin anew, and pictures stay", () => {
    const again = withEvents(withEvents(job(), EVENTS), [event(41, "job_requeued", { reason: "The server died." })]);
    expect(again).toMatchObject({ status: "pending", nodes: {}, reason: "The server died.", endedAt: undefined });
    expect(again.pictures).toHaveLength(1);
  });

  it("of a job that is cancelled leave no node running, and no preview", () => {
    const running = withEvents(job(), until("node_started", "sampler"));
    const shown = { ...running, nodes: { ...running.nodes, latent: { state: "done", preview: "blob:x" } as const } };
    const found = withEvents(shown, [event(99, "job_finished", { status: "cancelled", reason: "It was cancelled." })]);
    expect(Object.values(found.nodes).map(({ state }) => state)).not.toContain("running");
    expect(found.nodes.sampler).toBeUndefined();
    expect(found.nodes.latent?.preview).toBeUndefined();
  });

  it("of cached nodes show what they showed", () => {
    const ui = { "9": { images: [{ filename: "a.png", type: "temp" }], text: ["hello"] } };
    const found = withEvents(job(), [event(1, "nodes_cached", { node_ids: ["3", "9"], ui })]);
    expect(found.nodes["3"]).toEqual({ state: "cached" });
    expect(found.nodes["9"]).toMatchObject({ state: "cached", text: ["hello"] });
    expect(found.pictures).toEqual([{ filename: "a.png", subfolder: "", type: "temp" }]);
  });

  it("with junk among what is shown give the pictures that are there", () => {
    const ui = {
      images: [null, 3, "x", [], {}, { filename: 3 }, { filename: "a.txt" }, { filename: "b.PNG" }],
      other: 5,
    };
    const found = withEvents(job(), [event(1, "node_finished", { node_id: "1", display_id: "1", ui })]);
    expect(found.pictures.map(({ filename }) => filename)).toEqual(["b.PNG"]);
  });
});

describe("lists", () => {
  it("tell of a job that nobody followed", () => {
    const found = withEntry(ENTRY, undefined, false);
    expect(found).toMatchObject({ id: ENTRY.id, status: "completed", sequence: 0, pictureCount: 1, nodes: {} });
    expect(found.pictures[0]?.filename).toBe("darkroom_00001_.png");
  });

  it("that are older than the events change no state", () => {
    const over = withEvents(job(), EVENTS);
    const stale: JobEntry = { ...ENTRY, status: "in_progress", execution_end_time: null };
    expect(withEntry(stale, over, true)).toMatchObject({ status: "completed", endedAt: over.endedAt });
    expect(withEntry(stale, over, false)).toMatchObject({ status: "in_progress", endedAt: undefined });
  });

  it("and events together have each picture once", () => {
    const one = { filename: "a.png", subfolder: "", type: "output" };
    expect(union([one], [{ ...one }, { ...one, subfolder: "x" }])).toHaveLength(2);
    const some = [one];
    expect(union(some, [{ ...one }])).toBe(some);
  });
});
