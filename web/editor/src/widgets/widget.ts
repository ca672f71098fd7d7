// What a widget is: the control for one input of a node. Each kind is one file of this folder with the widget as its
// default export.
import type { ComponentType } from "react";
import type { InputDefinition } from "@/document/definitions";
import type { Json } from "@/document/types";

export interface WidgetProps {
  /** "node id/name" in the open graph: unique, for labels and tests. */
  readonly id: string;
  readonly nodeId: string;
  readonly input: InputDefinition;
  readonly value: Json | undefined;
  /** Whether a wire gives the value: then the control is shown, and cannot be changed. */
  readonly isLinked: boolean;
  /** Set the value. Calls soon after each other are one step of undo. */
  readonly onChange: (value: Json) => void;
}

export interface Widget {
  /** How well it fits an input: 0 not at all; of several, the highest is taken. */
  readonly fits: (input: InputDefinition) => number;
  /** How tall it is within a node, in px; "grow" shares what the node has left, at least 60 px. */
  readonly height: number | "grow";
  readonly Component: ComponentType<WidgetProps>;
}
