// What the server found wrong with nodes before it ran anything stands until the node is changed.
import { ROOT, type Workflow } from "@/document/types";
import { useRuns } from "@/store/runs";
import { useWorkflows } from "@/store/workflows";

/** Say what is wrong with nodes of a tab, and forget what was. */
export function setProblems(tab: string, problems: Readonly<Record<string, readonly string[]>>): void {
  useRuns.setState((runs) => ({ problems: { ...runs.problems, [tab]: problems } }));
}

/** Take away the problems of nodes that are changed, until the function that is returned is called. */
export function watchProblems(): () => void {
  return useWorkflows.subscribe((now, before) => {
    if (now.tabs === before.tabs) return;
    const { problems } = useRuns.getState();
    for (const [tab, found] of Object.entries(problems)) {
      const was = before.tabs.find(({ id }) => id === tab)?.workflow;
      const is = now.tabs.find(({ id }) => id === tab)?.workflow;
      if (was === is || Object.keys(found).length === 0) continue;
      const left = Object.entries(found).filter(([id]) => was && is && nodeAt(was, id) === nodeAt(is, id));
      if (left.length < Object.keys(found).length) setProblems(tab, Object.fromEntries(left));
    }
  });
}

/** The node that the server knows as "5:12". */
export function nodeAt(workflow: Workflow, id: string): unknown {
  const path = id.split(":");
  const last = path.pop() ?? "";
  const graph = path.reduce((found, instance) => workflow.graphs[found]?.nodes[instance]?.type ?? "?", ROOT);
  return workflow.graphs[graph]?.nodes[last];
}
