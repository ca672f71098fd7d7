import { useEffect } from "react";
import { fractionDone, isOver, shownJob, useRuns } from "@/store/runs";
import { useServer } from "@/store/server";
import { useText } from "@/store/text";
import { activeTab, useWorkflows } from "@/store/workflows";
import "./RunStatus.css";

/** What is said of runs beside panels: whether the server answers, for screen readers what begins and ends, and how far it is in the window's title and icon. */
export function RunStatus() {
  const t = useText();
  const connection = useServer((server) => server.connection);
  const tab = useWorkflows((workflows) => activeTab(workflows));
  const job = useRuns((runs) => (tab ? shownJob(runs, tab.id) : undefined));
  const percent = useRuns((runs) => {
    const running = runs.queue.flatMap((id) => runs.jobs[id] ?? []).find(({ status }) => status === "in_progress");
    return running && Math.floor(fractionDone(running) * 100);
  });
  useEffect(() => {
    document.title = [...(percent === undefined ? [] : [`${percent} %`]), ...(tab ? [tab.name] : []), "Darkroom"].join(
      " · ",
    );
  }, [percent, tab]);
  useEffect(() => {
    const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]");
    if (!icon) return;
    icon.dataset.still ??= icon.href;
    icon.href = percent === undefined ? icon.dataset.still : drawn(percent);
  }, [percent]);
  return (
    <>
      {connection === "lost" && (
        <div className="lost" role="alert">
          {t("server.lost")}
        </div>
      )}
      <div className="said" role="status" aria-live="polite">
        {job && tab && job.status !== "pending"
          ? t(isOver(job) ? `run.${job.status}` : "run.started", { name: tab.name, n: job.pictureCount })
          : ""}
      </div>
    </>
  );
}

/** A ring that is closed as far as a run is done. */
function drawn(percent: number): string {
  const round = 2 * Math.PI * 11;
  const ring = (colour: string, length: number) =>
    `<circle cx="16" cy="16" r="11" fill="none" stroke="${colour}" stroke-width="8" stroke-dasharray="${length} ${round}" transform="rotate(-90 16 16)"/>`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${ring("#8885", round)}${ring("#e8833a", (round * percent) / 100)}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
