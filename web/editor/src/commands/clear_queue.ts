import { clearQueue } from "@/api/jobs";
import { useRuns } from "@/store/runs";
import type { Command } from "./command";

const command: Command = {
  places: ["run"],
  order: 220,
  isEnabled: () => {
    const { jobs, queue } = useRuns.getState();
    return queue.some((id) => jobs[id]?.status === "pending");
  },
  run: clearQueue,
};
export default command;
