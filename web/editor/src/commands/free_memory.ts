import { freeMemory } from "@/api/jobs";
import type { Command } from "./command";

const command: Command = {
  places: ["run"],
  order: 300,
  run: freeMemory,
};
export default command;
