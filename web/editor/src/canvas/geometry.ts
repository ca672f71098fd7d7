// How large a node is drawn and where its sockets and widgets are, without measuring anything: by these numbers the
// browser lays nodes out, wires find their ends, and the far canvas draws boxes.
import type { Point } from "@/document/types";

/** The title bar. A file's `pos` is the corner beneath it, and its `size` does not count it. */
export const HEADER = 30;
/** A row of an input and an output socket. */
export const ROW = 22;
/** Above the first row and beneath the last. */
export const PADDING = 6;
/** Between widgets. */
export const GAP = 4;
/** The row under a seed that says how it changes. */
export const CONTROL = 24;
/** The least that a widget which grows has. */
export const LEAST_GROWING = 60;
export const LEAST_WIDTH = 140;
export const SOCKET = 12;

/** What geometry needs to know of a widget. */
export interface WidgetSize {
  readonly name: string;
  readonly height: number | "grow";
  readonly hasControl: boolean;
}

export interface Parts {
  /** As the file has it, without the header. */
  readonly size: Point;
  readonly isCollapsed: boolean;
  /** Names of the inputs that have a row of their own. */
  readonly inputs: readonly string[];
  readonly outputs: number;
  readonly widgets: readonly WidgetSize[];
}

export interface WidgetPlace {
  readonly name: string;
  /** From the top of the node, in px. */
  readonly top: number;
  readonly height: number;
}

export interface Shape {
  readonly width: number;
  readonly height: number;
  /** The middles of sockets, from the top of the node: by name, and by slot. */
  readonly inputs: ReadonlyMap<string, number>;
  readonly outputs: readonly number[];
  readonly widgets: readonly WidgetPlace[];
}

/** Where everything of a node is. */
export function shapeOf({ size, isCollapsed, inputs, outputs, widgets }: Parts): Shape {
  const width = Math.max(LEAST_WIDTH, size[0]);
  if (isCollapsed) {
    const middle = HEADER / 2;
    const names = [...inputs, ...widgets.map((widget) => widget.name)];
    return {
      width,
      height: HEADER,
      inputs: new Map(names.map((name) => [name, middle])),
      outputs: Array.from({ length: outputs }, () => middle),
      widgets: [],
    };
  }
  const row = (index: number) => HEADER + PADDING + ROW * (index + 0.5);
  const top = HEADER + PADDING + ROW * Math.max(inputs.length, outputs);
  const needed = top + PADDING + widgets.reduce((all, widget) => all + GAP + leastHeight(widget), 0);
  const height = Math.max(needed, size[1] + HEADER);
  const growing = widgets.filter((widget) => widget.height === "grow").length;
  const more = growing > 0 ? (height - needed) / growing : 0;
  const places = new Map(inputs.map((name, index) => [name, row(index)]));
  const placed: WidgetPlace[] = [];
  let next = top + GAP;
  for (const widget of widgets) {
    const own = widget.height === "grow" ? LEAST_GROWING + more : widget.height;
    placed.push({ name: widget.name, top: next, height: own });
    places.set(widget.name, next + Math.min(own, ROW) / 2);
    next += own + (widget.hasControl ? CONTROL : 0) + GAP;
  }
  return {
    width,
    height,
    inputs: places,
    outputs: Array.from({ length: outputs }, (_, slot) => row(slot)),
    widgets: placed,
  };
}

const leastHeight = ({ height, hasControl }: WidgetSize): number =>
  (height === "grow" ? LEAST_GROWING : height) + (hasControl ? CONTROL : 0);

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The last box that holds a point, which is the one drawn on top. */
export function hit<Each extends Box>(boxes: readonly Each[], [x, y]: Point): Each | undefined {
  return boxes.findLast((box) => x >= box.x && y >= box.y && x <= box.x + box.width && y <= box.y + box.height);
}
