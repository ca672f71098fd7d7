// Where pictures are to be seen.
import type { Picture } from "@/store/runs";
import { address } from "./client";

/** The address of a file that a job made or that was uploaded; as a thumbnail it is small, and loses little. */
export function pictureUrl({ filename, subfolder, type }: Picture, { thumbnail = false } = {}): string {
  return address("/view", { filename, subfolder, type, ...(thumbnail ? { preview: "webp;80" } : {}) });
}
