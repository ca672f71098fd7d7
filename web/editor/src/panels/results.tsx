import { useEffect, useRef } from "react";
import { loadPictures, showMore } from "@/api/follow";
import { forgetJob, retry } from "@/api/jobs";
import { pictureUrl } from "@/api/view";
import { type Job, useRuns } from "@/store/runs";
import { useSettings } from "@/store/settings";
import { useText } from "@/store/text";
import { useView } from "@/store/view";
import { Failures } from "@/ui/jobs/Failures";
import { timeOf, useJobName } from "@/ui/jobs/JobName";
import type { Panel } from "./panel";
import "@/ui/jobs/jobs.css";

/** What jobs that are over made, the newest first. */
function Results() {
  const t = useText();
  const jobs = useRuns((runs) => runs.jobs);
  const history = useRuns((runs) => runs.history);
  const hasMore = useRuns((runs) => runs.hasMore);
  const over = history.flatMap((id) => jobs[id] ?? []);
  const shown = over.flatMap((job) => job.pictures.map((picture) => pictureUrl(picture)));
  return (
    <div className="jobs">
      {over.length === 0 && <p className="empty">{t("results.empty")}</p>}
      <ul className="results" aria-label={t("panel.results")}>
        {over.map((job) => (
          <Result key={job.id} job={job} shown={shown} />
        ))}
      </ul>
      {hasMore && (
        <button type="button" onClick={() => showMore().catch(() => undefined)}>
          {t("results.more")}
        </button>
      )}
    </div>
  );
}

function Result({ job, shown }: { readonly job: Job; readonly shown: readonly string[] }) {
  const t = useText();
  const language = useSettings((settings) => settings.language);
  const name = useJobName(job);
  const place = useRef<HTMLLIElement>(null);
  const isWhole = job.pictures.length >= job.pictureCount;
  useEffect(() => {
    if (isWhole || !place.current) return;
    const observer = new IntersectionObserver(([entry]) => {
      if (!entry?.isIntersecting) return;
      observer.disconnect();
      loadPictures(job.id).catch(() => undefined);
    });
    observer.observe(place.current);
    return () => observer.disconnect();
  }, [isWhole, job.id]);
  return (
    <li className={job.status === "completed" && job.pictureCount < 2 ? "job" : "job wide"} ref={place}>
      <div className="row">
        <span className="name">{name}</span>
        <span className="dim">
          {job.status !== "completed" && `${t(`job.${job.status}`)} · `}
          {timeOf(job.endedAt ?? job.createdAt, language)}
        </span>
      </div>
      {job.status === "failed" && <Failures job={job} />}
      {job.pictures.length > 0 && (
        <div className="pictures">
          {job.pictures.map((picture, at) => {
            const url = pictureUrl(picture);
            return (
              <button
                key={url}
                type="button"
                aria-label={t("results.open", { name: picture.filename })}
                onClick={() => useView.setState({ lightbox: { pictures: shown, at: shown.indexOf(url) } })}
              >
                <img
                  src={pictureUrl(picture, { thumbnail: true })}
                  alt={t("results.picture", { n: at + 1, name })}
                  loading="lazy"
                />
              </button>
            );
          })}
        </div>
      )}
      {job.status !== "completed" && (
        <div className="row">
          <button type="button" onClick={() => retry(job.id)}>
            {t("job.retry")}
          </button>
          <button type="button" onClick={() => forgetJob(job.id)}>
            {t("job.delete")}
          </button>
        </div>
      )}
    </li>
  );
}

const panel: Panel = {
  side: "right",
  order: 10,
  icon: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9a.5.5 0 1 0 .01 0",
  Component: Results,
};
export default panel;
