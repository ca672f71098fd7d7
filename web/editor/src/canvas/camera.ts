// Where the canvas looks. The canvas that is mounted lends its eye; without one, nothing happens.
import type { ReactFlowInstance } from "@xyflow/react";
import type { NodeId, Point } from "@/document/types";
import type { ShownLink, ShownNode } from "./projection";

interface Eye {
  readonly flow: ReactFlowInstance<ShownNode, ShownLink>;
  /** All nodes, those that the far canvas draws included. */
  readonly nodes: () => readonly ShownNode[];
}

const current: { eye?: Eye } = {};

/** Give the eye; what is returned takes it back. */
export function lendEye(eye: Eye): () => void {
  current.eye = eye;
  return () => {
    if (current.eye === eye) delete current.eye;
  };
}

const duration = (): number => (matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 200);

/** Show nodes, or without names all of them, as large as they fit, at most at their own size. */
export function fit(nodes?: readonly NodeId[]): void {
  const { eye } = current;
  const chosen = eye?.nodes().filter((node) => !nodes || nodes.includes(node.id)) ?? [];
  if (!eye || chosen.length === 0) return;
  const left = Math.min(...chosen.map((node) => node.position.x));
  const top = Math.min(...chosen.map((node) => node.position.y));
  const right = Math.max(...chosen.map((node) => node.position.x + (node.width ?? 0)));
  const bottom = Math.max(...chosen.map((node) => node.position.y + (node.height ?? 0)));
  const bounds = { x: left, y: top, width: right - left, height: bottom - top };
  void eye.flow.fitBounds(bounds, { padding: 0.1, duration: duration() });
}

/** Put a node in the middle, near enough to read. */
export function centreOn(node: NodeId): void {
  const { eye } = current;
  const found = eye?.nodes().find((each) => each.id === node);
  if (!eye || !found) return;
  const [x, y] = [found.position.x + (found.width ?? 0) / 2, found.position.y + (found.height ?? 0) / 2];
  void eye.flow.setCenter(x, y, { zoom: Math.max(eye.flow.getZoom(), 0.8), duration: duration() });
}

/** A place in the window, in the canvas's coordinates. */
export function toCanvas([x, y]: Point): Point {
  const at = current.eye?.flow.screenToFlowPosition({ x, y }, { snapToGrid: false });
  return at ? [at.x, at.y] : [x, y];
}
