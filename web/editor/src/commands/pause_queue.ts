import { setPaused } from "@/api/jobs";
import { useRuns } from "@/store/runs";
import type { Command } from "./command";

const command: Command = {
  places: ["run"],
  order: 210,
  isOn: () => useRuns.getState().isPaused,
  run: () => setPaused(!useRuns.getState().isPaused),
};
export default command;
