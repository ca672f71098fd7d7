import { runWorkflow } from "@/api/run";
import { activeTab, useWorkflows } from "@/store/workflows";
import { go } from "@/ui/go_to";
import type { Command } from "./command";

const command: Command = {
  places: ["run"],
  order: 110,
  keys: ["Mod+Shift+Enter"],
  whileTyping: true,
  isEnabled: () => activeTab(useWorkflows.getState()) !== undefined,
  run: async () => {
    const { nodes } = await runWorkflow({ front: true });
    if (nodes[0] !== undefined) go(nodes[0]);
  },
};
export default command;
