// Keeps the store of runs up to date: lists of jobs say which there are, events by cursor say what became of each, and
// the socket says when to ask. Nothing is lost while it is closed, since events are asked for by number.
import type { JsonObject } from "@/document/types";
import { isOver, type Job, type NodeRun, type Runs, useRuns } from "@/store/runs";
import { get, Refused } from "./client";
import { picturesIn, union, withEntry, withEvents } from "./events";
import { frames } from "./frames";
import { tabOf } from "./sent";
import type { Message, Preview } from "./socket";
import type { JobEntry } from "./types.gen";

const OPEN = "in_progress,pending";
const OVER = "completed,failed,cancelled";
const AT_ONCE = 1000;
const PAGE = 100;
const MOST_HISTORY = 1000;
/** Of so many jobs that are over, nodes are kept, beside those that are shown. */
const WITH_NODES = 20;

let historyLimit = PAGE;

/** Ask which jobs there are, and for the events of those that run. One at a time; who asks meanwhile shares the next. */
export const refresh = oneAtATime(async () => {
  const before = useRuns.getState().jobs;
  const [open, over] = await Promise.all([
    get("/jobs", { query: { status: OPEN, limit: AT_ONCE } }),
    get("/jobs", { query: { status: OVER, limit: historyLimit, sort_by: "execution_end_time" } }),
  ]);
  useRuns.setState((runs) => ({
    ...merged(runs, before, [...open.jobs, ...over.jobs]),
    isPaused: open.paused,
    hasMore: over.pagination.has_more && historyLimit < MOST_HISTORY,
  }));
  await Promise.all(wanted(useRuns.getState()).map(pull));
});

/** Show more of what is over. */
export function showMore(): Promise<void> {
  historyLimit = Math.min(historyLimit + PAGE, MOST_HISTORY);
  return refresh();
}

/** Ask again for those that run: messages go to the window that sent a job, and only while it is connected. */
export function pullRunning(): void {
  for (const id of wanted(useRuns.getState())) void pull(id);
}

/** The jobs of which more may be told than is known: those that run, and those that are shown. */
const wanted = ({ jobs, queue, shown }: Runs): string[] =>
  [...new Set([...queue, ...Object.values(shown)])].filter((id) => {
    const job = jobs[id];
    return job !== undefined && job.status !== "pending" && isBehind(job);
  });

const pulls = new Map<string, () => Promise<void>>();

/** Ask for what happened to a job since it was asked for last. Failures are left to the next time. */
export async function pull(id: string): Promise<void> {
  const found = pulls.get(id) ?? oneAtATime(() => events(id));
  pulls.set(id, found);
  await found().catch(() => undefined);
  const job = useRuns.getState().jobs[id];
  if (!job || isOver(job)) pulls.delete(id);
}

async function events(id: string): Promise<void> {
  for (;;) {
    const job = useRuns.getState().jobs[id];
    if (!job) return;
    const query = { after: job.sequence, limit: AT_ONCE };
    const answer = await get("/jobs/{job_id}/events", { path: { job_id: id }, query }).catch((error: unknown) => {
      if (error instanceof Refused && error.status === 404) forget([id]);
      throw error;
    });
    update(id, (now) => withEvents(now, answer.events));
    const now = useRuns.getState().jobs[id];
    if (now && isOver(now)) frames.drop(id);
    if (answer.events.length < AT_ONCE) return;
  }
}

/** All pictures of a job that is over, of which a list names only one. */
export async function loadPictures(id: string): Promise<void> {
  const { outputs } = await get("/jobs/{job_id}", { path: { job_id: id } });
  const pictures = Object.values(outputs).flatMap(picturesIn);
  update(id, (job) => {
    const all = union(job.pictures, pictures);
    return { ...job, pictures: all, pictureCount: all.length };
  });
}

/** A message of the socket. */
export function take({ type, data }: Message): void {
  if (type === "status") void refresh().catch(() => undefined);
  const id = data.prompt_id;
  if (typeof id !== "string") return;
  if (!useRuns.getState().jobs[id]) void refresh().catch(() => undefined);
  else if (type === "progress_state") frames.progress(id, progressOf(data));
  else if (type !== "progress") void pull(id);
}

/** A picture of work in progress. */
export const takePreview = ({ job, node, picture }: Preview): void => frames.preview(job, node, picture);

/** Jobs that are gone. */
export function forget(ids: readonly string[]): void {
  for (const id of ids) frames.drop(id);
  useRuns.setState((runs) => {
    const jobs = Object.fromEntries(Object.entries(runs.jobs).filter(([id]) => !ids.includes(id)));
    return { jobs, ...listed(runs.queue, runs.history, jobs) };
  });
}

/** Change what is known of one job. */
export function update(id: string, change: (job: Job) => Job): void {
  useRuns.setState((runs) => {
    const job = runs.jobs[id];
    if (!job) return runs;
    const changed = change(job);
    const jobs = { ...runs.jobs, [id]: changed };
    return isOver(job) === isOver(changed) ? { jobs } : { jobs, ...moved(runs, changed, jobs) };
  });
}

/** The store with these jobs and no others. `before`: the jobs when the list was asked for. */
export function merged(
  runs: Runs,
  before: Runs["jobs"],
  entries: readonly JobEntry[],
): Pick<Runs, "jobs" | "queue" | "history"> {
  const jobs: Record<string, Job> = {};
  for (const entry of entries) {
    const known = runs.jobs[entry.id];
    const isNewer = known !== undefined && known.sequence > (before[entry.id]?.sequence ?? -1) && known.sequence > 0;
    jobs[entry.id] ??= { tab: tabOf(entry.id), ...withEntry(entry, known, isNewer) };
  }
  const added = Object.values(runs.jobs).filter(({ id }) => !before[id]); // sent while the list was on its way
  for (const job of added) jobs[job.id] ??= job;
  for (const id of Object.values(runs.shown)) if (runs.jobs[id]) jobs[id] ??= runs.jobs[id];
  const place = new Map(entries.map(({ id, queue_position }) => [id, queue_position ?? 0]));
  const queue = Object.keys(jobs).sort((a, b) => (place.get(a) ?? Infinity) - (place.get(b) ?? Infinity) || 0);
  const ended = (id: string) => jobs[id]?.endedAt ?? jobs[id]?.createdAt ?? 0;
  const history = Object.keys(jobs).sort((a, b) => ended(b) - ended(a));
  const lists = listed(queue, history, jobs);
  const shown = new Set(Object.values(runs.shown));
  for (const id of lists.history.slice(WITH_NODES)) {
    const job = jobs[id];
    if (job && !shown.has(id) && job.sequence > 0) jobs[id] = { ...job, nodes: {}, sequence: 0 };
  }
  return { jobs, ...lists };
}

function listed(queue: readonly string[], history: readonly string[], jobs: Runs["jobs"]) {
  const has = (over: boolean) => (id: string) => jobs[id] !== undefined && isOver(jobs[id]) === over;
  return { queue: queue.filter(has(false)), history: history.filter(has(true)) };
}

const moved = (runs: Runs, { id }: Job, jobs: Runs["jobs"]) =>
  listed([...runs.queue.filter((each) => each !== id), id], [id, ...runs.history.filter((each) => each !== id)], jobs);

/** Whether the events say less than the list: a job that runs may always have new ones. */
const isBehind = (job: Job): boolean => !isOver(job) || job.sequence === 0 || Object.values(job.nodes).some(isOpen);
const isOpen = ({ state }: NodeRun): boolean => state === "running" || state === "waiting";

function progressOf(data: JsonObject): Record<string, { value: number; total: number }> {
  const nodes = Object.values((data.nodes ?? {}) as Readonly<Record<string, JsonObject>>);
  return Object.fromEntries(
    nodes
      .filter(({ state }) => state === "running")
      .map((each) => [String(each.display_node_id), { value: Number(each.value), total: Number(each.max) }]),
  );
}

/** The same work, begun again when it is asked for meanwhile, and never twice at a time. */
function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let current: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const begin = () => {
    next = undefined;
    current = work().finally(() => {
      current = undefined;
    });
    return current;
  };
  return () => {
    if (!current) return begin();
    next ??= current.then(begin, begin);
    return next;
  };
}
