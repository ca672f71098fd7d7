import { cancelRunning } from "@/api/jobs";
import { useRuns } from "@/store/runs";
import { useWorkflows } from "@/store/workflows";
import type { Command } from "./command";

const command: Command = {
  places: ["run", "toolbar"],
  order: 200,
  keys: ["Mod+Alt+Enter"],
  whileTyping: true,
  isEnabled: () => {
    const { jobs, queue } = useRuns.getState();
    return queue.some((id) => jobs[id]?.status === "in_progress");
  },
  run: () => cancelRunning(useWorkflows.getState().active),
};
export default command;
