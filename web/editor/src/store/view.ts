// What the window shows beside workflows: panels, dialogs, messages, where the canvas looks.
import { create } from "zustand";
import type { NodeId, Point } from "@/document/types";

export interface Message {
  readonly id: number;
  readonly kind: "info" | "error";
  readonly text: string;
}

/** The search for a node to add: where it will be, and the wire it was opened with, if any. */
export interface Search {
  /** In the canvas's coordinates. */
  readonly at: Point;
  readonly wire?: {
    readonly node: NodeId;
    readonly slot: number;
    readonly side: "input" | "output";
    readonly type: string;
  };
}

export interface View {
  /** The open panel of each side, if one is. */
  readonly panels: Readonly<Partial<Record<"left" | "right" | "bottom", string>>>;
  /** The dialog that is open, by the name of its file in ../ui/dialogs. */
  readonly dialog?: string;
  readonly search?: Search;
  readonly messages: readonly Message[];
  /** By tab and graph ("tab/graph"): where the canvas looks. */
  readonly viewports: Readonly<Record<string, { readonly x: number; readonly y: number; readonly zoom: number }>>;
  /** The picture that fills the window: an address, among those it can be turned through. */
  readonly lightbox?: { readonly pictures: readonly string[]; readonly at: number };
}

export const useView = create<View>()(() => ({ panels: {}, messages: [], viewports: {} }));

let lastMessage = 0;

/** Tell something: errors stay until they are closed, the rest goes after a while. */
export function tell(text: string, kind: Message["kind"] = "info"): void {
  lastMessage += 1;
  const message = { id: lastMessage, kind, text };
  useView.setState((view) => ({
    messages: [...view.messages.filter((each) => each.text !== text), message].slice(-5),
  }));
}
