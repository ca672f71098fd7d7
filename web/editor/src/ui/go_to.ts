// Showing a node that something is to be said about.

import { nodeAt } from "@/api/problems";
import { centreOn } from "@/canvas/camera";
import { NOTHING, showTab, updateTab, useWorkflows } from "@/store/workflows";

/** Show the node that the server knows as "5:12" in a tab, selected and in the middle, if it is still there. */
export function go(node: string, tab = useWorkflows.getState().active): void {
  const workflow = useWorkflows.getState().tabs.find(({ id }) => id === tab)?.workflow;
  if (!workflow || nodeAt(workflow, node) === undefined) return;
  const path = node.split(":");
  const last = path.pop() ?? "";
  showTab(tab);
  updateTab(tab, { inside: path, selection: { ...NOTHING, nodes: new Set([last]) } });
  requestAnimationFrame(() => centreOn(last));
}
