// Which widget an input gets: of the files of this folder, the one that fits best.
import type { InputDefinition } from "@/document/definitions";
import type { Widget } from "./widget";

const files = import.meta.glob<Widget>("./*.tsx", { eager: true, import: "default" });
const WIDGETS: readonly Widget[] = Object.values(files);

const NONE: Widget = { fits: () => 0, height: 26, Component: () => null };

/** The widget for an input; one that shows nothing where none fits. */
export function widgetFor(input: InputDefinition): Widget {
  return WIDGETS.reduce((best, widget) => (widget.fits(input) > best.fits(input) ? widget : best), NONE);
}
