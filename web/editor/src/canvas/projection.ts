// The open graph as React Flow wants it. What did not change stays the same object, so that React draws only what did;
// values of widgets are not in it at all.
import { type Edge, type Node as FlowNode, Position } from "@xyflow/react";
import type { Definitions } from "@/document/definitions";
import { definitionOf, widgetsOf } from "@/document/node_widgets";
import {
  type Graph,
  type Group,
  type Json,
  type JsonObject,
  type Link,
  type Node,
  SUBGRAPH_INPUT,
  SUBGRAPH_OUTPUT,
  type Workflow,
} from "@/document/types";
import { boundingOf, inputsOf, isCollapsed, isPinned, outputsOf, positionOf, sizeOf, titleOf } from "@/document/view";
import type { Tab } from "@/store/workflows";
import { widgetFor } from "@/widgets/find";
import { HEADER, PADDING, ROW, type Shape, SOCKET, shapeOf } from "./geometry";

export type ShownNode = FlowNode<{ readonly shape: Shape; readonly title: string }>;
export type ShownLink = Edge<{ readonly type: string }>;
export const groupId = (index: number): string => `group-${index}`;
/** The place of a group in the file, of what is one. */
export const groupOf = (id: string): number | undefined =>
  id.startsWith("group-") ? Number(id.slice("group-".length)) : undefined;

interface Known {
  readonly node: Node;
  readonly definitions: Definitions;
  readonly inner: Graph | undefined;
  readonly shown: ShownNode;
}

/** Remembers what one canvas was given last. */
export interface Memory {
  readonly nodes: Map<string, Known>;
  readonly links: WeakMap<Link, { readonly target: Node | undefined; readonly shown: ShownLink }>;
  readonly groups: WeakMap<Group, ShownNode>;
  lastNodes: readonly ShownNode[];
  lastLinks: readonly ShownLink[];
}

export const newMemory = (): Memory => ({
  nodes: new Map(),
  links: new WeakMap(),
  groups: new WeakMap(),
  lastNodes: [],
  lastLinks: [],
});

/** All nodes of a graph, groups first as they lie behind. The same list as last time if nothing about it changed. */
export function shownNodes(memory: Memory, tab: Tab, graphId: string, definitions: Definitions): readonly ShownNode[] {
  const { workflow } = tab;
  const graph = workflow.graphs[graphId];
  if (!graph) return [];
  const groups = graph.groups.map((group, index) => shownGroup(memory, group, index));
  const nodes = graph.order.flatMap((id) => {
    const node = graph.nodes[id];
    return node ? [shownNode(memory, id, node, workflow, definitions)] : [];
  });
  memory.lastNodes = kept(memory.lastNodes, [...groups, ...boundaries(memory, graphId, graph), ...nodes]);
  return memory.lastNodes;
}

function shownNode(memory: Memory, id: string, node: Node, workflow: Workflow, definitions: Definitions): ShownNode {
  const inner = workflow.graphs[node.type];
  const known = memory.nodes.get(id);
  if (known?.node === node && known.definitions === definitions && known.inner === inner) return known.shown;
  const definition = definitionOf(node, workflow, definitions);
  const widgets = widgetsOf(node, definition, workflow);
  const own = new Set(widgets.map((widget) => widget.input.name));
  const inputs = inputsOf(node, definition).filter((input) => !own.has(input.name));
  const outputs = outputsOf(node, definition);
  const shape = shapeOf({
    size: sizeOf(node),
    isCollapsed: isCollapsed(node),
    inputs: inputs.map((input) => input.name),
    outputs: outputs.length,
    widgets: widgets.map(({ input, control }) => ({
      name: input.name,
      height: widgetFor(input).height,
      hasControl: control !== undefined,
    })),
  });
  const [x, y] = positionOf(node);
  const made = flowNode(id, "node", [x, y - HEADER], shape, titleOf(node, definitions), !isPinned(node));
  const shown = known && isSame(known.shown, made) ? known.shown : made;
  memory.nodes.set(id, { node, definitions, inner, shown });
  return shown;
}

function flowNode(
  id: string,
  type: string,
  [x, y]: readonly [number, number],
  shape: Shape,
  title: string,
  draggable = true,
): ShownNode {
  const socket = { width: SOCKET, height: SOCKET };
  const handles = [
    ...[...shape.inputs].map(([name, middle]) => ({
      ...socket,
      id: `in-${name}`,
      type: "target" as const,
      position: Position.Left,
      x: -SOCKET / 2,
      y: middle - SOCKET / 2,
    })),
    ...shape.outputs.map((middle, slot) => ({
      ...socket,
      id: `out-${slot}`,
      type: "source" as const,
      position: Position.Right,
      x: shape.width - SOCKET / 2,
      y: middle - SOCKET / 2,
    })),
  ];
  const { width, height } = shape;
  const data = { shape, title };
  return { id, type, position: { x, y }, width, height, handles, data, draggable, ariaLabel: title, ariaRole: "group" };
}

function shownGroup(memory: Memory, group: Group, index: number): ShownNode {
  const known = memory.groups.get(group);
  if (known?.id === groupId(index)) return known;
  const { x, y, width, height } = boundingOf(group);
  const shape: Shape = { width, height, inputs: new Map(), outputs: [], widgets: [] };
  const shown = { ...flowNode(groupId(index), "box", [x, y], shape, group.title ?? "", false), zIndex: -1 };
  memory.groups.set(group, shown);
  return shown;
}

/** A subgraph's own inputs and outputs, drawn within it. */
function boundaries(memory: Memory, graphId: string, graph: Graph): ShownNode[] {
  if (graphId === "") return [];
  return ([SUBGRAPH_INPUT, SUBGRAPH_OUTPUT] as const).map((id) => {
    const isInput = id === SUBGRAPH_INPUT;
    const slots = boundarySlots(graph, isInput);
    const place = graph.rest[isInput ? "inputNode" : "outputNode"];
    const bounding = isObject(place) && Array.isArray(place.bounding) ? place.bounding : [];
    const [x = 0, y = 0] = bounding.map(Number);
    const middles = slots.map((_, index) => HEADER + PADDING + ROW * (index + 0.5));
    const shape: Shape = {
      width: 140,
      height: HEADER + 2 * PADDING + ROW * slots.length,
      inputs: new Map(isInput ? [] : middles.map((middle, index) => [String(index), middle])),
      outputs: isInput ? middles : [],
      widgets: [],
    };
    const made = flowNode(id, "boundary", [x, y], shape, "", false);
    const known = memory.lastNodes.find((each) => each.id === id);
    return known && isSame(known, made) ? known : made;
  });
}

/** The names and types of a subgraph's own inputs or outputs. */
export function boundarySlots(graph: Graph, isInput: boolean): { readonly name: string; readonly type: string }[] {
  const slots = graph.rest[isInput ? "inputs" : "outputs"];
  if (!Array.isArray(slots)) return [];
  return slots.map((slot: Json) =>
    isObject(slot)
      ? { name: String(slot.label ?? slot.name ?? ""), type: String(slot.type ?? "*") }
      : { name: "", type: "*" },
  );
}

const isObject = (value: Json | undefined): value is JsonObject =>
  value !== null && typeof value === "object" && !Array.isArray(value);

/** All wires of a graph. The same list as last time if nothing about it changed. */
export function shownLinks(memory: Memory, graph: Graph): readonly ShownLink[] {
  const links = Object.entries(graph.links).flatMap(([id, link]) => {
    const target = graph.nodes[link.target];
    const known = memory.links.get(link);
    if (known && known.target === target) return [known.shown];
    const name = link.target === SUBGRAPH_OUTPUT ? String(link.targetSlot) : target?.inputs?.[link.targetSlot]?.name;
    if (name === undefined) return [];
    const made: ShownLink = {
      id,
      type: "wire",
      source: link.origin,
      sourceHandle: `out-${link.originSlot}`,
      target: link.target,
      targetHandle: `in-${name}`,
      data: { type: String(link.type) },
    };
    const shown = known && known.shown.targetHandle === made.targetHandle ? known.shown : made;
    memory.links.set(link, { target, shown });
    return [shown];
  });
  memory.lastLinks = kept(memory.lastLinks, links);
  return memory.lastLinks;
}

const kept = <Each>(last: readonly Each[], now: readonly Each[]): readonly Each[] =>
  last.length === now.length && now.every((each, index) => each === last[index]) ? last : now;

const isSame = (a: ShownNode, b: ShownNode): boolean =>
  a.position.x === b.position.x &&
  a.position.y === b.position.y &&
  a.width === b.width &&
  a.height === b.height &&
  a.draggable === b.draggable &&
  a.data.title === b.data.title &&
  JSON.stringify([a.handles, a.data.shape.widgets]) === JSON.stringify([b.handles, b.data.shape.widgets]);
