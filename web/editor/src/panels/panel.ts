// What a panel is: a part of the window beside the canvas. Each is one file of this folder with the panel as its default
// export; its id is the file's name, and its title the text "panel.<id>".
import type { ComponentType } from "react";

export interface Panel {
  readonly side: "left" | "right" | "bottom";
  readonly order: number;
  /** The `d` of a path in a 24 × 24 drawing, drawn with lines of 1.5. */
  readonly icon: string;
  readonly Component: ComponentType;
}
