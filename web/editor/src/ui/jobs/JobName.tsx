import type { Job } from "@/store/runs";
import { useText } from "@/store/text";
import { useWorkflows } from "@/store/workflows";

/** What a job is called: as the tab that sent it, and by the first signs of its id. Its number changes when it is moved. */
export function useJobName(job: Job): string {
  const t = useText();
  const tab = useWorkflows((workflows) => workflows.tabs.find(({ id }) => id === job.tab)?.name);
  return tab ? `${tab} · ${job.id.slice(0, 4)}` : t("job.name", { n: job.id.slice(0, 4) });
}

/** A time of day, and the date if it is another one. */
export function timeOf(ms: number, language: string): string {
  const date = new Date(ms);
  const isToday = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(language, {
    ...(isToday ? {} : { month: "short", day: "numeric" }),
    hour: "2-digit",
    minute: "2-digit",
  });
}
