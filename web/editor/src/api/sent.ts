// Which tab sent which job: kept for the session, so that a page that is loaded anew shows its runs on its tabs.
import { type Job, useRuns } from "@/store/runs";

const KEPT = "darkroom.sent";
const MOST = 200;

/** The tab that sent a job, if this window did. */
export const tabOf = (job: string): string | undefined => sent().find(([id]) => id === job)?.[1];

/** Remember that a tab sent a job, and show it there. */
export function remember(job: Job, tab: string): void {
  sessionStorage.setItem(KEPT, JSON.stringify([...sent(), [job.id, tab]].slice(-MOST)));
  useRuns.setState((runs) => ({
    jobs: { ...runs.jobs, [job.id]: { ...job, tab, ...runs.jobs[job.id] } },
    queue: runs.queue.includes(job.id) ? runs.queue : [...runs.queue, job.id],
    shown: { ...runs.shown, [tab]: job.id },
  }));
}

/** Which job each tab shows, from before the page was loaded anew. */
export const lastSent = (): Readonly<Record<string, string>> =>
  Object.fromEntries(sent().map(([job, tab]) => [tab, job]));

function sent(): readonly (readonly [job: string, tab: string])[] {
  try {
    const found: unknown = JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
    return Array.isArray(found) ? found.filter((each) => Array.isArray(each) && each.length === 2) : [];
  } catch {
    return [];
  }
}
