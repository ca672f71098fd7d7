import { runWorkflow } from "@/api/run";
import { useServer } from "@/store/server";
import { activeTab, executionId, openGraph, useWorkflows } from "@/store/workflows";
import { go } from "@/ui/go_to";
import type { Command, Origin } from "./command";

/** The output nodes that are meant, by the server's ids. */
function targets({ node }: Origin): string[] {
  const state = useWorkflows.getState();
  const tab = activeTab(state);
  const nodes = openGraph(state)?.nodes ?? {};
  const { definitions } = useServer.getState();
  const isOutput = (id: string) => definitions.get(nodes[id]?.type ?? "")?.isOutput === true;
  const meant = node === undefined ? [...(tab?.selection.nodes ?? [])] : [node];
  return tab ? meant.filter(isOutput).map((id) => executionId(tab, id)) : [];
}

const command: Command = {
  places: ["run", "node"],
  order: 120,
  isEnabled: (origin) => targets(origin).length > 0,
  run: async (origin) => {
    const { nodes } = await runWorkflow({ targets: targets(origin) });
    if (nodes[0] !== undefined) go(nodes[0]);
  },
};
export default command;
