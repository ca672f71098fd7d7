// What comes many times a second, progress and previews, goes into the store once per frame of the screen.
import { isOver, type Job, type NodeRun, useRuns } from "@/store/runs";

type Progress = Readonly<Record<string, { readonly value: number; readonly total: number }>>;

class Frames {
  private readonly steps = new Map<string, Map<string, { value: number; total: number }>>();
  private readonly pictures = new Map<string, Map<string, Blob>>();
  private readonly urls = new Map<string, Map<string, string>>();
  private isAsked = false;

  /** How far nodes of a job are. */
  progress(job: string, nodes: Progress): void {
    for (const [node, step] of Object.entries(nodes)) within(this.steps, job).set(node, step);
    this.ask();
  }

  /** What a node of a job is making; of several before the next frame, the last counts. */
  preview(job: string, node: string, picture: Blob): void {
    within(this.pictures, job).set(node, picture);
    this.ask();
  }

  /** Nothing more of this job: what it held is given back. */
  drop(job: string): void {
    this.steps.delete(job);
    this.pictures.delete(job);
    for (const url of this.urls.get(job)?.values() ?? []) URL.revokeObjectURL(url);
    this.urls.delete(job);
  }

  private ask(): void {
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      this.show();
    });
  }

  private show(): void {
    const old: string[] = [];
    useRuns.setState(({ jobs }) => {
      const changed: Record<string, Job> = {};
      for (const id of new Set([...this.steps.keys(), ...this.pictures.keys()])) {
        const job = jobs[id];
        if (job && !isOver(job)) changed[id] = { ...job, nodes: this.nodes(job, old) };
      }
      return { jobs: { ...jobs, ...changed } };
    });
    this.steps.clear();
    this.pictures.clear();
    for (const url of old) URL.revokeObjectURL(url);
  }

  private nodes(job: Job, old: string[]): Job["nodes"] {
    const nodes: Record<string, NodeRun> = { ...job.nodes };
    for (const [id, step] of this.steps.get(job.id) ?? []) {
      const node = nodes[id];
      if (node?.state === "running") nodes[id] = { ...node, ...step };
    }
    for (const [id, picture] of this.pictures.get(job.id) ?? []) {
      const urls = within(this.urls, job.id);
      const before = urls.get(id);
      if (before) old.push(before);
      const preview = URL.createObjectURL(picture);
      urls.set(id, preview);
      nodes[id] = { state: "running", ...nodes[id], preview };
    }
    return nodes;
  }
}

export const frames = new Frames();

function within<Value>(all: Map<string, Map<string, Value>>, key: string): Map<string, Value> {
  const found = all.get(key) ?? new Map<string, Value>();
  all.set(key, found);
  return found;
}
