// What can be done to jobs. Each sees to it that the lists are right afterwards.
import { useRuns } from "@/store/runs";
import { text } from "@/store/text";
import { tell } from "@/store/view";
import { get, patch, post, Refused, remove } from "./client";
import { forget, refresh } from "./follow";
import type { JobChange, JobDetail } from "./types.gen";

const at = (job: string) => ({ path: { job_id: job } });

export const cancel = (job: string): Promise<void> => done(post("/jobs/{job_id}/cancel", at(job)));
export const retry = (job: string): Promise<void> => done(post("/jobs/{job_id}/retry", at(job)));
export const clearQueue = (): Promise<void> => done(post("/queue", { body: { clear: true } }));
export const freeMemory = async (): Promise<void> => {
  await done(post("/free", { body: { unload_models: true, free_memory: true } }));
};

/** Move a waiting job: to the front, or before another one. */
export const move = (job: string, to: JobChange): Promise<void> =>
  done(patch("/jobs/{job_id}", { ...at(job), body: to }));

export const setPaused = (isPaused: boolean): Promise<void> => done(post(isPaused ? "/jobs/pause" : "/jobs/resume"));

/** Forget a job; the files that it saved stay. */
export async function forgetJob(job: string): Promise<void> {
  await done(remove("/jobs/{job_id}", at(job)).then(() => forget([job])));
}

/** Cancel what runs: the job of this tab, or else the first. */
export async function cancelRunning(tab: string): Promise<void> {
  const { jobs, queue, shown } = useRuns.getState();
  const running = queue.filter((id) => jobs[id]?.status === "in_progress");
  const id = running.find((each) => each === shown[tab]) ?? running[0];
  if (id !== undefined) await cancel(id);
}

/** A job with what was sent. */
export const jobDetail = (job: string): Promise<JobDetail> => get("/jobs/{job_id}", at(job));

async function done(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    tell(error instanceof Refused ? error.message : text("server.noAnswer"), "error");
  }
  await refresh().catch(() => undefined);
}

/** Move a waiting job to a place among those that wait, counted from 0. The server knows only "before another one". */
export async function moveTo(waiting: readonly string[], job: string, place: number): Promise<void> {
  const others = waiting.filter((each) => each !== job);
  const before = others[place];
  if (place < 0 || waiting[place] === job) return;
  if (before !== undefined) return move(job, { before });
  const last = others.at(-1);
  if (last === undefined || place > others.length) return;
  await move(job, { before: last });
  await move(last, { before: job });
}
