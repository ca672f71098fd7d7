// A large graph seen from far: one canvas draws boxes and wires, and no node is in the page.
import { useStore } from "@xyflow/react";
import { useEffect, useRef } from "react";
import { paintOf } from "./colours";
import type { ShownLink, ShownNode } from "./projection";

export const FAR_ZOOM = 0.35;
export const FAR_NODES = 150;

interface Props {
  readonly nodes: readonly ShownNode[];
  readonly links: readonly ShownLink[];
  readonly selected: ReadonlySet<string>;
}

/** Draws below the pane's pointer, which finds boxes by geometry.hit. */
export function FarCanvas({ nodes, links, selected }: Props) {
  const place = useRef<HTMLCanvasElement>(null);
  const transform = useStore((flow) => flow.transform);
  const width = useStore((flow) => flow.width);
  const height = useStore((flow) => flow.height);
  useEffect(() => {
    const canvas = place.current;
    if (!canvas) return;
    const frame = requestAnimationFrame(() => draw(canvas, transform, width, height, { nodes, links, selected }));
    return () => cancelAnimationFrame(frame);
  }, [transform, width, height, nodes, links, selected]);
  return <canvas ref={place} className="far-canvas" />;
}

function draw(
  canvas: HTMLCanvasElement,
  [x, y, zoom]: readonly [number, number, number],
  width: number,
  height: number,
  { nodes, links, selected }: Props,
): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  const density = Math.min(devicePixelRatio, 2);
  if (canvas.width !== Math.round(width * density)) canvas.width = Math.round(width * density);
  if (canvas.height !== Math.round(height * density)) canvas.height = Math.round(height * density);
  const styles = getComputedStyle(canvas);
  const scale = zoom * density;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.setTransform(scale, 0, 0, scale, x * density, y * density);
  const byId = new Map(nodes.map((node) => [node.id, node]));
  drawWires(context, links, byId, styles, 1.5 / zoom);
  const boxes = new Path2D();
  const chosen = new Path2D();
  const headers = new Path2D();
  for (const node of nodes) {
    const { x: left, y: top } = node.position;
    const box: [number, number, number, number] = [left, top, node.width ?? 0, node.height ?? 0];
    if (node.type === "box") {
      context.strokeStyle = styles.getPropertyValue("--line");
      context.lineWidth = 1 / zoom;
      context.strokeRect(...box);
      continue;
    }
    (selected.has(node.id) ? chosen : boxes).rect(...box);
    headers.rect(left, top, node.width ?? 0, Math.min(30, node.height ?? 0));
  }
  context.fillStyle = styles.getPropertyValue("--raised");
  context.fill(boxes);
  context.fill(chosen);
  context.fillStyle = styles.getPropertyValue("--line");
  context.fill(headers);
  context.strokeStyle = styles.getPropertyValue("--accent");
  context.lineWidth = 2 / zoom;
  context.stroke(chosen);
}

/** One path for each type: far fewer calls than one for each wire. */
function drawWires(
  context: CanvasRenderingContext2D,
  links: readonly ShownLink[],
  nodes: ReadonlyMap<string, ShownNode>,
  styles: CSSStyleDeclaration,
  width: number,
): void {
  const paths = new Map<string, Path2D>();
  for (const link of links) {
    const [from, to] = [nodes.get(link.source), nodes.get(link.target)];
    if (!from || !to) continue;
    const type = link.data?.type ?? "*";
    const path = paths.get(type) ?? new Path2D();
    paths.set(type, path);
    const slot = Number(link.sourceHandle?.slice("out-".length));
    path.moveTo(from.position.x + (from.width ?? 0), from.position.y + (from.data.shape.outputs[slot] ?? 0));
    const name = link.targetHandle?.slice("in-".length) ?? "";
    path.lineTo(to.position.x, to.position.y + (to.data.shape.inputs.get(name) ?? 0));
  }
  context.lineWidth = width;
  for (const [type, path] of paths) {
    context.strokeStyle = paintOf(type, styles);
    context.stroke(path);
  }
}
