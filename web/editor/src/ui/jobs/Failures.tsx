import type { Job } from "@/store/runs";
import { useText } from "@/store/text";
import { go } from "@/ui/go_to";
import "./jobs.css";

/** What went wrong in a job: the sentence, the node, and for those who write nodes where in the code. */
export function Failures({ job }: { readonly job: Job }) {
  const t = useText();
  if (job.failures.length === 0) return job.reason ? <p className="failure">{job.reason}</p> : null;
  return job.failures.map(({ node, message, traceback, exception }) => (
    <div className="failure" key={`${node}/${message}`}>
      <p>{message}</p>
      <p className="row">
        {node !== undefined && job.tab !== undefined && (
          <button type="button" onClick={() => go(node, job.tab)}>
            {t("job.showNode")}
          </button>
        )}
        <button type="button" onClick={() => navigator.clipboard.writeText([message, ...traceback].join("\n"))}>
          {t("job.copyError")}
        </button>
      </p>
      {traceback.length > 0 && (
        <details>
          <summary>{exception || t("job.details")}</summary>
          <pre>{traceback.join("")}</pre>
        </details>
      )}
    </div>
  ));
}
