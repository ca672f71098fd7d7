// The wire that is being drawn, so that sockets which it does not fit can be dimmed. It changes when a wire begins and
// ends, never with the pointer.
import { create } from "zustand";
import { typesMatch } from "@/document/match";

interface Drawn {
  readonly node: string;
  readonly side: "in" | "out";
  readonly type: string;
}

export const useWiring = create<{ readonly wire?: Drawn }>()(() => ({}));

/** Whether a socket is dimmed: the wire can never go there by its type, its side or its node. */
export function isDimmed(wire: Drawn | undefined, node: string, side: "in" | "out", type: string): boolean {
  if (!wire || (wire.node === node && wire.side === side)) return false;
  if (wire.side === side || wire.node === node) return true;
  return side === "in" ? !typesMatch(wire.type, type) : !typesMatch(type, wire.type);
}
