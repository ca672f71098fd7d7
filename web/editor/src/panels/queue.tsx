import { type KeyboardEvent, useState } from "react";
import { cancel, clearQueue, move, moveTo, setPaused } from "@/api/jobs";
import { fractionDone, type Job, useRuns } from "@/store/runs";
import { useSettings } from "@/store/settings";
import { useText } from "@/store/text";
import { timeOf, useJobName } from "@/ui/jobs/JobName";
import { Progress } from "@/ui/jobs/Progress";
import type { Panel } from "./panel";
import "@/ui/jobs/jobs.css";

/** What runs, and what waits in its order. */
function Queue() {
  const t = useText();
  const jobs = useRuns((runs) => runs.jobs);
  const queue = useRuns((runs) => runs.queue);
  const isPaused = useRuns((runs) => runs.isPaused);
  const there = queue.flatMap((id) => jobs[id] ?? []);
  const running = there.filter(({ status }) => status === "in_progress");
  const waiting = there.filter(({ status }) => status === "pending");
  return (
    <div className="jobs">
      <div className="row">
        <button type="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
          {t(isPaused ? "queue.resume" : "queue.pause")}
        </button>
        <button type="button" disabled={waiting.length === 0} onClick={clearQueue}>
          {t("queue.clear")}
        </button>
        <span className="dim">{t("queue.waiting", { n: waiting.length })}</span>
      </div>
      {isPaused && <p className="dim">{t("queue.isPaused")}</p>}
      {there.length === 0 && <p className="empty">{t("queue.empty")}</p>}
      {running.length > 0 && (
        <ul aria-label={t("queue.running")}>
          {running.map((job) => (
            <Running key={job.id} job={job} />
          ))}
        </ul>
      )}
      {waiting.length > 0 && <Waiting jobs={waiting} />}
    </div>
  );
}

function Running({ job }: { readonly job: Job }) {
  const t = useText();
  const name = useJobName(job);
  const done = fractionDone(job);
  return (
    <li className="job">
      <div className="row">
        <span className="name">{name}</span>
        <span className="dim">{Math.floor(done * 100)} %</span>
        <button type="button" aria-label={t("job.cancelNamed", { name })} onClick={() => cancel(job.id)}>
          {t("job.cancel")}
        </button>
      </div>
      <Progress done={done} label={name} />
    </li>
  );
}

function Waiting({ jobs }: { readonly jobs: readonly Job[] }) {
  const t = useText();
  const [dragged, setDragged] = useState<string>();
  const [target, setTarget] = useState<string>();
  const ids = jobs.map(({ id }) => id);
  const drop = () => {
    if (dragged !== undefined && target !== undefined) moveTo(ids, dragged, ids.indexOf(target));
    setDragged(undefined);
    setTarget(undefined);
  };
  return (
    <ul aria-label={t("queue.next")}>
      {jobs.map((job, place) => (
        <li
          key={job.id}
          className={job.id === target && job.id !== dragged ? "job target" : "job"}
          draggable
          onDragStart={() => setDragged(job.id)}
          onDragEnd={drop}
          onDragOver={(event) => {
            event.preventDefault();
            setTarget(job.id);
          }}
        >
          <WaitingJob job={job} place={place} onMove={(to) => moveTo(ids, job.id, to)} />
        </li>
      ))}
    </ul>
  );
}

interface WaitingJobProps {
  readonly job: Job;
  readonly place: number;
  readonly onMove: (to: number) => void;
}

function WaitingJob({ job, place, onMove }: WaitingJobProps) {
  const t = useText();
  const language = useSettings((settings) => settings.language);
  const name = useJobName(job);
  const onKeyDown = (event: KeyboardEvent) => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    onMove(place + by);
  };
  return (
    <div className="row">
      <button
        type="button"
        className="handle"
        aria-label={t("job.moveNamed", { name })}
        title={t("job.moveHint")}
        onKeyDown={onKeyDown}
      >
        ⠿
      </button>
      <span className="name">{name}</span>
      <span className="dim">{timeOf(job.createdAt, language)}</span>
      <button
        type="button"
        disabled={place === 0}
        aria-label={t("job.frontNamed", { name })}
        onClick={() => move(job.id, { front: true })}
      >
        {t("job.front")}
      </button>
      <button type="button" aria-label={t("job.cancelNamed", { name })} onClick={() => cancel(job.id)}>
        {t("job.cancel")}
      </button>
    </div>
  );
}

const panel: Panel = { side: "right", order: 20, icon: "M4 6h16M4 12h16M4 18h10", Component: Queue };
export default panel;
