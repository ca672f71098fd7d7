import "./jobs.css";

/** How much is done, from 0 to 1. */
export function Progress({ done, label }: { readonly done: number; readonly label: string }) {
  return <progress className="progress" value={done} max={1} aria-label={label} />;
}
