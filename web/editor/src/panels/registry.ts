// All panels, found by their files.
import type { Panel } from "./panel";

export interface NamedPanel extends Panel {
  /** The name of its file. */
  readonly id: string;
}

const files = import.meta.glob<Panel>("./*.tsx", { eager: true, import: "default" });

const PANELS: readonly NamedPanel[] = Object.entries(files)
  .map(([path, panel]) => ({ ...panel, id: path.slice("./".length, -".tsx".length) }))
  .sort((a, b) => a.order - b.order || a.id.localeCompare(b.id));

export const panelsOf = (side: Panel["side"]): NamedPanel[] => PANELS.filter((panel) => panel.side === side);
