// What a command is. Each is one file of this folder with the command as its default export; its id is the file's name.
// Menus, the command palette, shortcuts and their help all derive from these files.
import type { Point } from "@/document/types";

/** Where a command is offered, beside the command palette. */
export type Place = "file" | "edit" | "view" | "run" | "help" | "node" | "canvas" | "group" | "selection" | "toolbar";

/** What a command was started from. */
export interface Origin {
  /** The node or group that a menu belongs to, if any: the command is about that, and else about the selection. */
  readonly node?: string;
  readonly group?: number;
  /** Where on the canvas, in its coordinates. */
  readonly at?: Point;
}

export interface Command {
  /** In which menus, and how far down: commands are sorted by `order`, and each hundred begins a section. */
  readonly places: readonly Place[];
  readonly order: number;
  /** Such as "Mod+Shift+Z" (Mod is Ctrl, or ⌘ on a Mac); the first is shown. */
  readonly keys?: readonly string[];
  /** Its keys work while the caret is in a text field, too. */
  readonly whileTyping?: boolean;
  /** Whether it can be done now. */
  readonly isEnabled?: (origin: Origin) => boolean;
  /** Whether what it switches is on. */
  readonly isOn?: () => boolean;
  readonly run: (origin: Origin) => void | Promise<void>;
}
