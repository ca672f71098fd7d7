// What the server is and has: its node classes, and whether it answers.
import { create } from "zustand";
import type { Definitions } from "@/document/definitions";

export interface Server {
  readonly definitions: Definitions;
  /** "connecting" until the first answer, "lost" while it does not answer. */
  readonly connection: "connecting" | "open" | "lost";
  /** Who this window is to the server. */
  readonly client: string;
}

export const useServer = create<Server>()(() => ({ definitions: new Map(), connection: "connecting", client: "" }));
