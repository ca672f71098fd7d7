// What events of the server make of a job. Events that were seen before change nothing.
import type { Json } from "@/document/types";
import type { Job, NodeRun, Picture } from "@/store/runs";
import type { JobEntry, JobEvent } from "./types.gen";

type Table = Readonly<Record<string, Json>>;

const PICTURES = /\.(png|jpe?g|webp|gif|avif|bmp|svg)$/i;

/** A job after some more events, in their order. */
export function withEvents(job: Job, events: readonly JobEvent[]): Job {
  const nodes: Record<string, NodeRun> = { ...job.nodes };
  let now: Job = { ...job, nodes };
  for (const event of events) {
    if (event.sequence > now.sequence) now = { ...withEvent(now, nodes, event), sequence: event.sequence };
  }
  return now;
}

function withEvent(job: Job, nodes: Record<string, NodeRun>, event: JobEvent): Job {
  const id = event.display_id ?? event.node_id ?? "";
  const isMade = event.node_id !== id; // a node that another one made, and is shown as
  const put = (part: Partial<NodeRun>) => {
    nodes[id] = { state: "running", ...nodes[id], ...part };
  };
  switch (event.event) {
    case "job_queued":
    case "job_requeued":
      clear(nodes);
      return {
        ...job,
        status: "pending",
        reason: event.reason,
        startedAt: undefined,
        endedAt: undefined,
        failures: [],
      };
    case "job_started":
      clear(nodes);
      return {
        ...job,
        status: "in_progress",
        startedAt: event.at,
        endedAt: undefined,
        reason: undefined,
        failures: [],
      };
    case "run_started":
      for (const each of event.node_ids ?? []) nodes[each] ??= { state: "waiting" };
      return job;
    case "nodes_cached":
      return (event.node_ids ?? []).reduce((now, each) => {
        const shown = event.ui?.[each] as Table | undefined;
        nodes[each] = { ...nodes[each], state: "cached", ...outputs(nodes[each], shown) };
        return withPictures(now, shown);
      }, job);
    case "node_started":
      put(isMade ? { state: "running" } : { state: "running", value: undefined, total: undefined });
      return job;
    case "node_progress":
      put({ state: "running", value: event.value, total: event.total });
      return job;
    case "node_finished": {
      const seconds = isMade ? (nodes[id]?.seconds ?? 0) + (event.seconds ?? 0) : event.seconds;
      put({ ...(isMade ? {} : { state: "done" }), value: undefined, total: undefined, seconds });
      put(outputs(nodes[id], event.ui));
      return withPictures(job, event.ui);
    }
    case "node_failed":
      put({ state: "failed", error: event.message, value: undefined, total: undefined });
      return { ...job, failures: [...job.failures, failure(event, id)] };
    case "node_blocked":
      put({ state: "blocked", error: event.message });
      return job;
    case "job_finished":
      return ended(job, nodes, event);
    default:
      return job;
  }
}

function ended(job: Job, nodes: Record<string, NodeRun>, event: JobEvent): Job {
  let failures = job.failures;
  for (const { node_id, class_type, sentence } of event.problems ?? []) {
    const node = typeof node_id === "string" ? node_id : undefined;
    if (failures.some((each) => each.node === node)) continue;
    const message = String(sentence);
    if (node !== undefined) nodes[node] = { ...nodes[node], state: "failed", error: message };
    failures = [...failures, { node, nodeType: String(class_type ?? ""), message, exception: "", traceback: [] }];
  }
  for (const [id, { preview: _, ...node }] of Object.entries(nodes)) {
    if (node.state === "waiting" || node.state === "running") delete nodes[id];
    else nodes[id] = node;
  }
  return { ...job, status: event.status as Job["status"], reason: event.reason, endedAt: event.at, failures };
}

function failure(event: JobEvent, node: string): Job["failures"][number] {
  return {
    node,
    nodeType: event.class_type ?? "",
    message: event.message ?? "",
    exception: event.exception_type ?? "",
    traceback: event.traceback ?? [],
  };
}

function clear(nodes: Record<string, NodeRun>): void {
  for (const id of Object.keys(nodes)) delete nodes[id];
}

/** What a node showed, after what it showed before. */
function outputs(node: NodeRun | undefined, shown: Table | undefined): Partial<NodeRun> {
  const pictures = [...(node?.pictures ?? []), ...picturesIn(shown)];
  const said = shown?.text;
  const text = [
    ...(node?.text ?? []),
    ...(Array.isArray(said) ? said.map(String) : typeof said === "string" ? [said] : []),
  ];
  return { ...(pictures.length > 0 ? { pictures } : {}), ...(text.length > 0 ? { text } : {}) };
}

/** The pictures among what a node showed. */
export function picturesIn(shown: Table | undefined): Picture[] {
  return Object.values(shown ?? {}).flatMap((items) => (Array.isArray(items) ? items.flatMap(picture) : []));
}

function picture(item: Json): Picture[] {
  if (item === null || typeof item !== "object" || Array.isArray(item)) return [];
  const { filename, subfolder, type } = item as Table;
  if (typeof filename !== "string" || !PICTURES.test(filename)) return [];
  return [{ filename, subfolder: String(subfolder ?? ""), type: String(type ?? "output") }];
}

function withPictures(job: Job, shown: Table | undefined): Job {
  const pictures = union(job.pictures, picturesIn(shown));
  return pictures === job.pictures
    ? job
    : { ...job, pictures, pictureCount: Math.max(job.pictureCount, pictures.length) };
}

/** Both together, each picture once. */
export function union(some: readonly Picture[], others: readonly Picture[]): readonly Picture[] {
  const key = ({ filename, subfolder, type }: Picture) => `${type}/${subfolder}/${filename}`;
  const known = new Set(some.map(key));
  const fresh = others.filter((each) => !known.has(key(each)));
  return fresh.length > 0 ? [...some, ...fresh] : some;
}

/** A job as a list has it; what else is known of it stays. `isNewer`: events told more meanwhile than the list knows. */
export function withEntry(entry: JobEntry, job: Job | undefined, isNewer: boolean): Job {
  const shown = entry.preview_output;
  const first = shown?.filename === undefined ? [] : picture({ ...shown, filename: shown.filename });
  const error = entry.execution_error;
  const failures = job?.failures.length
    ? job.failures
    : error
      ? [
          {
            node: error.node_id || undefined,
            nodeType: error.node_type,
            message: error.message,
            exception: error.exception_type,
            traceback: error.traceback,
          },
        ]
      : [];
  const state = isNewer && job ? job : fromEntry(entry);
  return {
    nodes: {},
    sequence: 0,
    ...job,
    id: entry.id,
    number: entry.number,
    createdAt: entry.create_time,
    pictures: job?.pictures.length ? job.pictures : first,
    pictureCount: Math.max(entry.previewable_outputs_count, job?.pictures.length ?? 0),
    failures: state.status === "failed" ? failures : (job?.failures ?? []),
    status: state.status,
    startedAt: state.startedAt,
    endedAt: state.endedAt,
    reason: state.reason,
  };
}

function fromEntry(entry: JobEntry): Pick<Job, "status" | "startedAt" | "endedAt" | "reason"> {
  return {
    status: entry.status,
    startedAt: entry.execution_start_time ?? undefined,
    endedAt: entry.execution_end_time ?? undefined,
    reason: entry.reason || undefined,
  };
}
